# frozen_string_literal: true

# TCP echo with a thread for each connection: stock TCPServer#accept, readpartial and write.

require_relative "stock"

server = Echo.listen

Thread.new do
  loop do
    client = server.accept
    Thread.new { Stock.echo(client) }
  end
end

$stdin.read(1)
exit!(0)
