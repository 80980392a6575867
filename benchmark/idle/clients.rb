# frozen_string_literal: true

# Opens so many connections and keeps them until the end of stdin. They are reset at the end, so
# that no port waits for the next round.
#
#   ruby clients.rb PORT CONNECTIONS

require "json"
require "socket"

port, count = ARGV.map(&:to_i)
Process.setrlimit(Process::RLIMIT_NOFILE, Process.getrlimit(Process::RLIMIT_NOFILE).last)
reset = [1, 0].pack("ii")
sockets = Array.new(count) do
  TCPSocket.new("127.0.0.1", port).tap { |socket| socket.setsockopt(:SOCKET, :LINGER, reset) }
end
puts JSON.generate(connected: sockets.size)
$stdout.flush
$stdin.read
