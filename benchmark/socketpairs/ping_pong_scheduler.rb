# frozen_string_literal: true

# Ping-pong through the fiber scheduler.

require "uringmachine"
require "uringmachine/fiber_scheduler"
require_relative "stock"

pairs = Pipes.io_pairs

Pipes.measure do |count|
  received = Array.new(2 * Pipes::PAIRS, 0)
  Fiber.set_scheduler(UM::FiberScheduler.new)
  pairs.each_with_index do |ios, pair|
    ios.each_with_index do |io, turn|
      Fiber.schedule { received[(2 * pair) + turn] = PingPong.exchange(io, pair, count, turn) }
    end
  end
  Fiber.set_scheduler(nil)
  received.sum
end
