# frozen_string_literal: true

class UringMachine
  # What closing an IO does to those who wait for it, in fibers of whichever thread: they end with an
  # IOError, and the ring lets go of the file, so that the other side is told at once, and nothing
  # that was asked for reaches the next file with that number. Ruby asks no scheduler before 4.0, and
  # then not for methods that aren't its own. It is there once there is a {FiberScheduler}.
  # @api private
  module Closing
    # See `IO#close`.
    # @return [nil]
    def close
      return super if closed?

      UringMachine.closing(self)
      Closing.let_go(self) if WAITS && Fiber.blocking?
      super
    end

    # Since 4.0 core waits until those have left who were waiting, and in a root fiber that is for ever.
    WAITS = RUBY_VERSION >= "4"
    private_constant :WAITS

    def self.let_go(io)
      scheduler = Fiber.scheduler
      scheduler.machine.__let_go__(io) if scheduler.is_a?(FiberScheduler)
    end

    def self.install
      ::IO.prepend(self) unless ::IO < self
    end
  end
  private_constant :Closing

  class FiberScheduler # :nodoc:
    def self.new(...)
      Closing.install
      super
    end
  end
end
