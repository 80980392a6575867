# frozen_string_literal: true

# As bare, but the fibers are resumed in another order each time, as they are where they sleep:
# their stacks are then never in the cache.

require "uringmachine"
require_relative "common"

Sleeps.measure(sleeping: false) do
  order = Random.new(1)
  fibers = Array.new(Sleeps::FIBERS) do
    Fiber.new(blocking: false) { Sleeps.run { Fiber.yield } }
  end
  (Sleeps::COUNT + 1).times { fibers.shuffle!(random: order).each(&:resume) }
end
