# frozen_string_literal: true

# The machine API on Unix socket pairs: recv and send.

require "socket"
require_relative "../pipes/fibers"

def send_all(machine, fd, pair, count)
  messages = Pipes.messages(pair)
  size = Pipes::SIZE
  count.times do |index|
    message = messages[index & 63]
    sent = machine.send(fd, message, size, 0)
    sent += machine.send(fd, message.byteslice(sent..), -1, 0) while sent < size
  end
end

def receive_all(machine, fd, pair, count)
  buffer = Pipes.buffer
  rest = Pipes.buffer
  messages = Pipes.messages(pair)
  size = Pipes::SIZE
  count.times do |index|
    got = machine.recv(fd, buffer, size, 0)
    while got < size && got.positive?
      got += machine.recv(fd, rest, size - got, 0)
      buffer << rest
    end
    buffer == messages[index & 63] or Pipes.wrong(pair, index)
  end
  count
end

pairs = Array.new(Pipes::PAIRS) { UM.socketpair(Socket::AF_UNIX, Socket::SOCK_STREAM, 0) }
Pipes.measure_pairs(pairs, receive: method(:receive_all), send: method(:send_all))
