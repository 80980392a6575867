# frozen_string_literal: true

# Bare parked fibers, no sockets.

require_relative "common"

fibers = []

Idle.measure do
  fibers = Array.new(Idle::COUNT) { Fiber.new(blocking: false) { Fiber.yield }.tap(&:resume) }
end
