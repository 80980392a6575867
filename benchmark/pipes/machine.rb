# frozen_string_literal: true

# The machine API on pipes: a fiber for each reader and each writer, bare descriptors.

require "uringmachine"
require_relative "common"

def write_all(machine, fd, pair, count)
  count.times do |index|
    message = Pipes.message(pair, index)
    sent = machine.write(fd, message)
    sent += machine.write(fd, message.byteslice(sent..)) while sent < Pipes::SIZE
  end
end

def read_all(machine, fd, pair, count)
  buffer = Pipes.buffer
  count.times do |index|
    got = machine.read(fd, buffer, Pipes::SIZE)
    got += machine.read(fd, buffer, Pipes::SIZE - got, got) while got < Pipes::SIZE && got.positive?
    Pipes.check(buffer, pair, index)
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
