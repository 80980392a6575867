# frozen_string_literal: true

# No sleep at all: bare fibers, resumed one after the other as often as the others sleep. What is
# left is the cost of the fibers, of their switches and of this measuring.

require "uringmachine"
require_relative "common"

Sleeps.measure(sleeping: false) do
  fibers = Array.new(Sleeps::FIBERS) do
    Fiber.new(blocking: false) { Sleeps.run { Fiber.yield } }
  end
  (Sleeps::COUNT + 1).times { fibers.each(&:resume) }
end
