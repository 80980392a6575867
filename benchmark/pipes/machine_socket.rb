# frozen_string_literal: true

# The machine API on Unix socket pairs: recv and send.

require "socket"
require "uringmachine"
require_relative "common"

def send_all(machine, fd, pair, count)
  count.times do |index|
    message = Pipes.message(pair, index)
    sent = machine.send(fd, message, Pipes::SIZE, 0)
    sent += machine.send(fd, message.byteslice(sent..), -1, 0) while sent < Pipes::SIZE
  end
end

def receive_all(machine, fd, pair, count)
  buffer = Pipes.buffer
  rest = Pipes.buffer
  count.times do |index|
    got = machine.recv(fd, buffer, Pipes::SIZE, 0)
    while got < Pipes::SIZE && got.positive?
      got += machine.recv(fd, rest, Pipes::SIZE - got, 0)
      buffer << rest
    end
    Pipes.check(buffer, pair, index)
  end
  count
end

machine = UM.new
pairs = Array.new(Pipes::PAIRS) { UM.socketpair(Socket::AF_UNIX, Socket::SOCK_STREAM, 0) }

Pipes.measure do |count|
  received = Array.new(Pipes::PAIRS, 0)
  fibers = pairs.each_with_index.flat_map do |(reader, writer), pair|
    [machine.spin { send_all(machine, writer, pair, count) },
     machine.spin { received[pair] = receive_all(machine, reader, pair, count) }]
  end
  machine.await(*fibers)
  fibers.each { |fiber| raise fiber.result if fiber.result.is_a?(Exception) }
  received.sum
end
