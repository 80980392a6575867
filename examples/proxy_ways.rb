# frozen_string_literal: true

# A TCP proxy in three ways, each with fewer pipes and fibers to look after than the one before.
# Choose one by its name: pipe_ends, pipes or double_splice. (examples/tcp_proxy.rb has the shortest
# one, `Polyphony.proxy`.)
#
#   bin/ruby examples/proxy_ways.rb 4321 127.0.0.1:1234 pipes
#
# with examples/echo_ways.rb on port 1234, for one, and then:
#
#   echo hello | nc -N 127.0.0.1 4321

require "polyphony"

CHUNK = 8192

# Moves all data through a pipe, which is two objects, or one.
def move(source, target, into, out_of = into)
  spin do
    IO.splice(source, into, -CHUNK)
  ensure
    into.close
  end
  IO.splice(out_of, target, -CHUNK)
  target.close_write # the source has ended: pass that on
end

WAYS = {
  "pipe_ends" => lambda do |client, upstream|
    there = spin { IO.pipe.then { |reader, writer| move(client, upstream, writer, reader) } }
    IO.pipe.then { |reader, writer| move(upstream, client, writer, reader) }
    there.await
  end,

  "pipes" => lambda do |client, upstream|
    there = spin { move(client, upstream, Polyphony.pipe) }
    move(upstream, client, Polyphony.pipe)
    there.await
  end,

  # It passes the end on by itself.
  "double_splice" => lambda do |client, upstream|
    there = spin { IO.double_splice(client, upstream, -CHUNK) }
    IO.double_splice(upstream, client, -CHUNK)
    there.await
  end
}.freeze

port, destination, way = ARGV
pass_on = WAYS[way || "double_splice"]
abort "usage: proxy_ways.rb PORT HOST:PORT [#{WAYS.keys.join("|")}]" unless destination && pass_on
host, _, destination_port = destination.rpartition(":")

server = TCPServer.new("127.0.0.1", Integer(port))
puts "passing port #{server.local_address.ip_port} on to #{destination}"
$stdout.flush

server.accept_loop do |client|
  spin do
    upstream = TCPSocket.new(host, Integer(destination_port))
    pass_on.call(client, upstream)
  rescue SystemCallError => e
    warn "a connection is lost: #{e.message}"
  ensure
    client.close
    upstream&.close
  end
end
