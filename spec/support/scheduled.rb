# frozen_string_literal: true

module SpecSupport
  # Runs blocks in fibers of a thread that has a scheduler, and brings their values out.
  #
  # The example itself runs in a blocking fiber without a scheduler, as RSpec's own thread has
  # none. An exception that ends a fiber is raised in the example, and so is a fiber that never
  # came to its end: no example passes because its blocks didn't run.
  module Scheduled
    class UnfinishedError < StandardError; end

    UNFINISHED = Object.new.freeze

    # Notes which hooks are called.
    class Recording < UM::FiberScheduler
      HOOKS = %i[
        block unblock kernel_sleep io_wait io_read io_write io_pread io_select process_wait
        timeout_after address_resolve fiber
      ].freeze

      attr_reader :calls

      def initialize
        super
        @calls = []
      end

      HOOKS.each do |hook|
        define_method(hook) do |*arguments, &block|
          @calls << hook
          super(*arguments, &block)
        end
      end
    end

    # Each of the procs (or arrays of them) in a fiber of its own, started in this order. Their
    # values.
    def in_fibers(*bodies, scheduler: UM::FiberScheduler)
      bodies = bodies.flatten
      values = Array.new(bodies.size, UNFINISHED)
      scheduler_thread(scheduler) do
        bodies.each_with_index { |body, index| Fiber.schedule { values[index] = body.call } }
      end.join
      unfinished = values.each_index.select { |index| values[index].equal?(UNFINISHED) }
      raise UnfinishedError, "fibers that did not end: #{unfinished.join(", ")}" if unfinished.any?

      values
    end

    # The block in a fiber. Its value.
    def in_fiber(scheduler: UM::FiberScheduler, &body) = in_fibers(body, scheduler:).first

    # The block in a fiber, beside one that takes turns as long as the first isn't done. Its
    # value, and how many turns the other one had while it ran.
    def beside_turns
      done = false
      turns = 0
      value, = in_fibers(
        -> { yield.tap { done = true } },
        -> { sleep(0.001).tap { turns += 1 } until done }
      )
      [value, turns]
    end

    # A thread with a scheduler; the block is the body of its root fiber. The thread's end closes
    # the scheduler: it waits for the fibers.
    def scheduler_thread(scheduler = UM::FiberScheduler)
      Thread.new do
        Thread.current.report_on_exception = false
        Fiber.set_scheduler(scheduler.new)
        yield Fiber.scheduler
      end
    end

    # The hooks that Ruby called for the block, which runs in a fiber.
    def hooks_of(&body)
      calls = nil
      in_fiber(scheduler: Recording) do
        Fiber.scheduler.calls.clear
        body.call
        calls = Fiber.scheduler.calls.dup
      end
      calls
    end

    # What the block raises; nil if nothing.
    def error_of
      yield
      nil
    rescue Exception => e # rubocop:disable Lint/RescueException
      e
    end

    # The value with names in place of the IOs in it. To show the difference between two values,
    # RSpec reads from the IOs in them, and waits.
    def named(value, **names)
      case value
      when Array then value.map { |part| named(part, **names) }
      when IO then names.key(value) || value.inspect
      else value
      end
    end

    # Other fibers get turns until the block gives something.
    def wait_until(seconds: 10)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + (seconds * GCMode.slowdown)
      until (value = yield)
        raise "waited for #{seconds} s in vain" if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

        sleep 0.001
      end
      value
    end
  end
end

RSpec.configure do |config|
  config.include SpecSupport::Scheduled, file_path: %r{spec/scheduler/}

  # IO::Buffer is experimental: Ruby warns of it.
  config.around(:each, :io_buffer) do |example|
    previous = Warning[:experimental]
    Warning[:experimental] = false
    example.run
  ensure
    Warning[:experimental] = previous
  end
end
