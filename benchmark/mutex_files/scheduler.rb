# frozen_string_literal: true

# The fiber scheduler.

require "uringmachine"
require "uringmachine/fiber_scheduler"
require_relative "stock"

Files.measure do |files, count|
  Fiber.set_scheduler(UM::FiberScheduler.new)
  files.each do |file|
    mutex = Mutex.new
    Files::WRITERS.times do |writer|
      Fiber.schedule { Stock.write_all(mutex, file, writer, count) }
    end
  end
  Fiber.set_scheduler(nil)
end
