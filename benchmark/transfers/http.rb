# frozen_string_literal: true

# An HTTP server for one file: every request is answered with it.
#
#   http.rb PATH

require "polyphony"

path = ARGV.fetch(0)
server = TCPServer.new("127.0.0.1", 0)
puts %({"port":#{server.local_address.ip_port}})
$stdout.flush
Thread.new { $stdin.read && exit!(0) }

server.accept_loop do |client|
  spin do
    while client.gets("\r\n\r\n")
      File.open(path, "rb") do |file|
        client.send("HTTP/1.1 200 OK\r\nContent-Length: #{file.size}\r\n\r\n", Socket::MSG_MORE)
        IO.double_splice(file, client)
      end
    end
  rescue SystemCallError
    nil # the client is gone
  ensure
    client.close
  end
end
