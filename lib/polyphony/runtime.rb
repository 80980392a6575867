# frozen_string_literal: true

# Start and end of Polyphony in a thread.
module Polyphony
  # The end of a scheduler that Polyphony has installed: at the thread's end (before `at_exit`
  # handlers run) the fibers that are left are ended, with their `ensure` blocks.
  module EndsFibers
    # Hook of Ruby.
    def scheduler_close
      Ending.of_root(Polyphony.main_fiber) if Process.pid == @owner
      super
    end

    # Remembers the process: a forked child has none of its parent's fibers.
    def self.extended(scheduler)
      scheduler.instance_variable_set(:@owner, Process.pid)
    end
  end

  class << self
    # @return [Fiber] the root fiber of the thread that required Polyphony
    attr_reader :root_fiber

    # Installs the scheduler for the running thread, and the root fiber's rule.
    # @return [void]
    def start
      @root_fiber = Fiber.current
      enter_thread
      [RootFiber, Accepting, Trap].each(&:install) unless ENV["POLYPHONY_ROOT_FIBER"] == "0"
    end

    # The running thread's fibers end with it from now on. Called natively by the first `spin` of a
    # thread, and of a forked child.
    # @return [void]
    def enter_thread
      scheduler = Fiber.scheduler
      if scheduler.nil?
        Fiber.set_scheduler(Scheduler.new(Thread.current.machine).extend(EndsFibers))
      elsif scheduler.is_a?(Scheduler)
        scheduler.extend(EndsFibers) # each time, as that remembers the process
      end
      Thread.current.instance_variable_set(:@__polyphony_main_fiber, main_fiber)
      nil
    end
  end
end
