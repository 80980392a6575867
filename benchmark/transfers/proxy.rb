# frozen_string_literal: true

# A TCP proxy.
#
#   proxy.rb PORT_OF_THE_DESTINATION

require "polyphony"

port = Integer(ARGV.fetch(0))
server = TCPServer.new("127.0.0.1", 0)
puts %({"port":#{server.local_address.ip_port}})
$stdout.flush
Thread.new { $stdin.read && exit!(0) }

server.accept_loop do |near|
  spin do
    far = TCPSocket.new("127.0.0.1", port)
    Polyphony.proxy(near, far)
  rescue SystemCallError
    nil # one of them is gone
  ensure
    [near, far].compact.each(&:close)
  end
end
