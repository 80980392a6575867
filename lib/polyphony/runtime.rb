# frozen_string_literal: true

# Start and end of Polyphony in a thread.
module Polyphony
  # The end of a scheduler that Polyphony has installed: at the thread's end (before `at_exit`
  # handlers run) the fibers that are left are ended, with their `ensure` blocks.
  module EndsFibers
    # Hook of Ruby.
    def scheduler_close
      Node.of(@root_fiber).terminate_children if Process.pid == @owner
      super
    end

    # Remembers the thread's root fiber, and the process: a forked child has none of its parent's
    # fibers.
    def self.extended(scheduler)
      scheduler.instance_variable_set(:@owner, Process.pid)
      scheduler.instance_variable_set(:@root_fiber, Fiber.current)
    end
  end

  class << self
    # @return [Fiber] the root fiber of the thread that required Polyphony
    attr_reader :root_fiber

    # Installs the scheduler for the running thread, and the root fiber's rule.
    # @return [void]
    def start
      @root_fiber = Fiber.current
      install_scheduler unless Fiber.scheduler
      [RootFiber, Trap].each(&:install) unless ENV["POLYPHONY_ROOT_FIBER"] == "0"
    end

    private

    def install_scheduler
      Fiber.set_scheduler(Scheduler.new(Thread.current.machine).extend(EndsFibers))
    end
  end
end
