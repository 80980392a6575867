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
      super
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
