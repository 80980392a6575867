# frozen_string_literal: true

# A TCP proxy, with a port of its own for each destination.
#
#   proxy.rb PORT_OF_A_DESTINATION...

require "polyphony"

def serve(server, port)
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
end

Thread.new { $stdin.read && exit!(0) }
fibers = ARGV.map do |port|
  server = TCPServer.new("127.0.0.1", 0)
  puts %({"port":#{server.local_address.ip_port}})
  spin { serve(server, Integer(port)) }
end
$stdout.flush
Fiber.await(*fibers)
