# frozen_string_literal: true

# Ping-pong with a thread for each end.

require_relative "stock"

pairs = Pipes.io_pairs

Pipes.measure do |count|
  threads = pairs.each_with_index.flat_map do |ios, pair|
    ios.each_with_index.map { |io, turn| Thread.new { PingPong.exchange(io, pair, count, turn) } }
  end
  threads.sum(&:value)
end
