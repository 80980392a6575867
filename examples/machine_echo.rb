# frozen_string_literal: true

# An echo server on the machine itself: bare descriptors, one fiber for each connection, and a
# buffer that each of them uses again and again.
#
#   bin/ruby examples/machine_echo.rb 1234
#   echo hello | nc -N 127.0.0.1 1234
#
# Ends with ctrl-C, and then prints what the machine has counted.

require "socket"
require "uringmachine"

machine = UM.new
server = machine.socket(Socket::AF_INET, Socket::SOCK_STREAM, 0, 0)
machine.bind(server, "127.0.0.1", Integer(ARGV.fetch(0, 1234)))
machine.listen(server, Socket::SOMAXCONN)
socket = Socket.for_fd(server) # to ask for the port
puts "echoing on port #{socket.local_address.ip_port}"
$stdout.flush

echo = lambda do |connection|
  buffer = +""
  while machine.recv(connection, buffer, 16_384, 0).positive?
    rest = buffer
    rest = rest.byteslice(machine.send(connection, rest, -1, 0)..) until rest.empty?
  end
rescue SystemCallError => e
  warn "a client is gone: #{e.message}"
ensure
  machine.close(connection)
end

begin
  machine.accept_each(server) do |connection|
    machine.spin(connection, &echo)
  end
rescue Interrupt
  puts machine.metrics.slice(:total_ops, :total_switches, :ops_pending)
end
