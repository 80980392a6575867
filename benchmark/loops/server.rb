# frozen_string_literal: true

# Takes in what comes on some connections at once, a String at a time, and prints what that cost.
#
#   server.rb recv_loop|feed_loop|readpartial CONNECTIONS BYTES_OF_A_STRING

require_relative "../transfers/cost"

# What feed_loop feeds.
class Count
  attr_reader :bytes

  def initialize = @bytes = 0
  def <<(chunk) = @bytes += chunk.bytesize
end

def readpartial(socket, count, size)
  while (chunk = socket.readpartial(size))
    count << chunk
  end
rescue EOFError
  nil
end

way, connections, size = ARGV
connections, size = [connections, size].map { Integer(_1) }
count = Count.new
take_in = {
  "readpartial" => ->(socket) { readpartial(socket, count, size) },
  "recv_loop" => ->(socket) { socket.recv_loop(size) { count << _1 } },
  "feed_loop" => ->(socket) { socket.feed_loop(count, :<<) }
}.fetch(way)

require(way == "readpartial" ? "socket" : "polyphony")
server = TCPServer.new("127.0.0.1", 0)
puts %({"port":#{server.local_address.ip_port}})
$stdout.flush
sockets = Array.new(connections) { server.accept }
report do
  if way == "readpartial"
    sockets.map { |socket| Thread.new { take_in.call(socket) } }.each(&:join)
  else
    Fiber.await(sockets.map { |socket| spin { take_in.call(socket) } })
  end
  count.bytes
end
sockets.each(&:close)
