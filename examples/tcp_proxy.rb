# frozen_string_literal: true

# A TCP proxy: every connection to PORT is passed on to a destination, both ways at once, and a
# half-close as well.
#
#   bin/ruby examples/tcp_proxy.rb 4321 127.0.0.1:1234
#
# with examples/echo_server.rb on port 1234, for one, and then:
#
#   echo hello | nc -N 127.0.0.1 4321

require "polyphony"

port, destination = ARGV
abort "usage: tcp_proxy.rb PORT HOST:PORT" unless destination
host, _, destination_port = destination.rpartition(":")

server = TCPServer.new("127.0.0.1", Integer(port))
puts "passing port #{server.local_address.ip_port} on to #{destination}"
$stdout.flush

server.accept_loop do |client|
  spin do
    upstream = TCPSocket.new(host, Integer(destination_port))
    there, back = Polyphony.proxy(client, upstream)
    puts "#{there} bytes there, #{back} bytes back"
    $stdout.flush
  rescue SystemCallError => e
    warn "a connection is lost: #{e.message}"
  ensure
    client.close
    upstream&.close
  end
end
