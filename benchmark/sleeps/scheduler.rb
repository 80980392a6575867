# frozen_string_literal: true

# Kernel#sleep under the fiber scheduler.

require "uringmachine"
require "uringmachine/fiber_scheduler"
require_relative "common"

Sleeps.measure do
  Fiber.set_scheduler(UM::FiberScheduler.new)
  Sleeps::FIBERS.times do
    Fiber.schedule { Sleeps.run { |duration| sleep(duration) } }
  end
  Fiber.set_scheduler(nil)
end
