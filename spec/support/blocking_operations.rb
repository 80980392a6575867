# frozen_string_literal: true

require "timeout"
require "zlib"
require_relative "scheduled"

module SpecSupport
  # What Ruby does with operations that block.
  module BlockingOperations
    # A scheduler that runs them beside the fibers, on so many threads.
    def self.scheduler(threads)
      Class.new(UM::FiberScheduler) do
        define_method(:initialize) do
          super().then { enable_blocking_operations(UM::BlockingOperationThreadPool.new(threads)) }
        end
      end
    end

    # What Ruby passes to the hook: a Proc, an object with a C API, or (without a hook) nothing.
    HANDED_OUT = begin
      handed_out = nil
      scheduler = Class.new(UM::FiberScheduler) do
        define_method(:blocking_operation_wait) do |operation|
          handed_out = operation
          Fiber.blocking { operation.call }
        end
      end
      Thread.new do
        Fiber.set_scheduler(scheduler.new)
        Fiber.schedule { Zlib.deflate("x" * 1000) }
      end.join
      handed_out
    end

    # Whether they can be broken off.
    NATIVE = !HANDED_OUT.nil? && !HANDED_OUT.is_a?(Proc)
  end
end
