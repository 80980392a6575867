# frozen_string_literal: true

# Waves of bare fibers: all made, then all resumed.

require_relative "common"

Waves.measure do
  ended = 0
  fibers = Array.new(Waves::FIBERS) { Fiber.new(blocking: false) { ended += 1 } }
  fibers.each(&:resume)
  ended
end
