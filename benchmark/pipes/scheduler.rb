# frozen_string_literal: true

# The fiber scheduler: stock IO#write and IO#readpartial in Fiber.schedule.

require "uringmachine"
require "uringmachine/fiber_scheduler"
require_relative "stock"

pairs = Pipes.io_pairs

Pipes.measure do |count|
  received = Array.new(Pipes::PAIRS, 0)
  Fiber.set_scheduler(UM::FiberScheduler.new)
  pairs.each_with_index do |(reader, writer), pair|
    Fiber.schedule { Stock.write_all(writer, pair, count) }
    Fiber.schedule { received[pair] = Stock.read_all(reader, pair, count) }
  end
  Fiber.set_scheduler(nil)
  received.sum
end
