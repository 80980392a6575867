# frozen_string_literal: true

# What the variants of the machine API share: messages that fibers send and receive.

require "uringmachine"
require_relative "common"

module Pipes
  # Measures fibers whose results are how many messages they have received. The block spins them,
  # and gets the machine and the number of messages for each pair.
  def self.measure_fibers
    machine = UM.new
    measure do |count|
      results = machine.join(yield(machine, count))
      results.each { |result| raise result if result.is_a?(Exception) }
      results.sum
    end
  end

  # The same with one fiber for each reader and one for each writer: `receive` and `send` are
  # called with the machine, the descriptor, the number of the pair and the count.
  def self.measure_pairs(pairs, receive:, send:)
    measure_fibers do |machine, count|
      pairs.each_with_index.flat_map do |(reader, writer), pair|
        [machine.spin { send.call(machine, writer, pair, count) && 0 },
         machine.spin { receive.call(machine, reader, pair, count) }]
      end
    end
  end
end
