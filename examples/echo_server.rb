# frozen_string_literal: true

# An echo server whose data never becomes a Ruby String: each client's fiber lets the kernel move
# it from the socket into a pipe and back.
#
#   bin/ruby examples/echo_server.rb 1234
#
# and in another terminal, as often as you like:
#
#   echo hello | nc -N 127.0.0.1 1234
#
# Ends with ctrl-C.

require "polyphony"

server = TCPServer.new("127.0.0.1", Integer(ARGV.fetch(0, 1234)))
puts "echoing on port #{server.local_address.ip_port}"
$stdout.flush

server.accept_loop do |client|
  spin do
    bytes = IO.double_splice(client, client)
    puts "#{bytes} bytes echoed"
    $stdout.flush
  rescue SystemCallError => e
    warn "a client is gone: #{e.message}"
  ensure
    client.close
  end
end
