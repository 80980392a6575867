# frozen_string_literal: true

# The machine API on pipes: a fiber for each reader and each writer, bare descriptors.

require "uringmachine"
require_relative "common"

def write_all(machine, fd, pair, count)
  messages = Pipes.messages(pair)
  size = Pipes::SIZE
  count.times do |index|
    message = messages[index & 63]
    sent = machine.write(fd, message)
    sent += machine.write(fd, message.byteslice(sent..)) while sent < size
  end
end

def read_all(machine, fd, pair, count)
  buffer = Pipes.buffer
  messages = Pipes.messages(pair)
  size = Pipes::SIZE
  count.times do |index|
    got = machine.read(fd, buffer, size)
    got += machine.read(fd, buffer, size - got, got) while got < size && got.positive?
    buffer == messages[index & 63] or Pipes.wrong(pair, index)
  end
  count
end

machine = UM.new
pipes = Array.new(Pipes::PAIRS) { UM.pipe }

Pipes.measure do |count|
  received = Array.new(Pipes::PAIRS, 0)
  fibers = pipes.each_with_index.flat_map do |(reader, writer), pair|
    [machine.spin { write_all(machine, writer, pair, count) },
     machine.spin { received[pair] = read_all(machine, reader, pair, count) }]
  end
  machine.await(*fibers)
  fibers.each { |fiber| raise fiber.result if fiber.result.is_a?(Exception) }
  received.sum
end
