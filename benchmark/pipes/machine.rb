# frozen_string_literal: true

# The machine API on pipes: a fiber for each reader and each writer, bare descriptors.

require_relative "fibers"

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

pipes = Array.new(Pipes::PAIRS) { UM.pipe }
Pipes.measure_pairs(pipes, receive: method(:read_all), send: method(:write_all))
