# frozen_string_literal: true

# What Ruby's own IO methods cost without any switching: one thread, write then readpartial.

require_relative "stock"

pairs = Pipes.io_pairs

Pipes.measure do |count|
  buffer = Pipes.buffer
  count.times do |index|
    pairs.each_with_index do |(reader, writer), pair|
      writer.write(Pipes.message(pair, index))
      reader.readpartial(Pipes::SIZE, buffer)
      Pipes.check(buffer, pair, index)
    end
  end
  count * Pipes::PAIRS
end
