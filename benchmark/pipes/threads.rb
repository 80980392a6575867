# frozen_string_literal: true

# A thread for each reader and each writer, stock IO.

require_relative "stock"

pairs = Pipes.io_pairs

Pipes.measure do |count|
  threads = pairs.each_with_index.flat_map do |(reader, writer), pair|
    [Thread.new { Stock.write_all(writer, pair, count) && 0 },
     Thread.new { Stock.read_all(reader, pair, count) }]
  end
  threads.sum(&:value)
end
