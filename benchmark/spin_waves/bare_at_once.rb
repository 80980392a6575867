# frozen_string_literal: true

# Waves of bare fibers, each resumed as soon as it is made.

require_relative "common"

Waves.measure do
  ended = 0
  Waves::FIBERS.times { Fiber.new(blocking: false) { ended += 1 }.resume }
  ended
end
