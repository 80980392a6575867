# frozen_string_literal: true

# Ping-pong by the machine API: both ends of a pair do the same, but one begins.

require "socket"
require_relative "../pipes/fibers"

# Messages of even index go from the fiber that begins to the other, those of odd index back.
# Returns how many were received.
def exchange(machine, fd, pair, count, turn)
  buffer = Pipes.buffer
  rest = Pipes.buffer
  messages = Pipes.messages(pair)
  size = Pipes::SIZE
  received = 0
  count.times do |index|
    message = messages[index & 63]
    if index & 1 == turn
      sent = machine.send(fd, message, size, 0)
      sent += machine.send(fd, message.byteslice(sent..), -1, 0) while sent < size
    else
      got = machine.recv(fd, buffer, size, 0)
      while got < size && got.positive?
        got += machine.recv(fd, rest, size - got, 0)
        buffer << rest
      end
      buffer == message or Pipes.wrong(pair, index)
      received += 1
    end
  end
  received
end

pairs = Array.new(Pipes::PAIRS) { UM.socketpair(Socket::AF_UNIX, Socket::SOCK_STREAM, 0) }

Pipes.measure_fibers do |machine, count|
  pairs.each_with_index.flat_map do |fds, pair|
    fds.each_with_index.map { |fd, turn| machine.spin { exchange(machine, fd, pair, count, turn) } }
  end
end
