# frozen_string_literal: true

# What Ruby's own IO methods cost without any switching: one thread, write then readpartial.

require_relative "stock"

pairs = Pipes.io_pairs
messages = Pipes.messages(0)

Pipes.measure do |count|
  buffer = Pipes.buffer
  count.times do |index|
    pairs.each_with_index do |(reader, writer), pair|
      message = messages[(pair + index) & 63]
      writer.write(message)
      reader.readpartial(Pipes::SIZE, buffer)
      buffer == message or Pipes.wrong(pair, index)
    end
  end
  count * Pipes::PAIRS
end
