# frozen_string_literal: true

module Polyphony
  # What closing an IO does to those who wait for it, in fibers of whichever thread: they end with an
  # IOError, and the ring lets go of the file, so that the other side is told at once. Ruby asks no
  # scheduler for that before 4.0, and then not for methods that aren't its own.
  module Closing
    # See `IO#close`.
    # @return [nil]
    def close
      return super if closed?

      # Nobody runs between the two.
      unless Closing.may_wait?(self) && RootFiber.applies?
        Polyphony.closing(self)
        return super
      end
      RootFiber.run do
        Polyphony.closing(self)
        super()
      end
    end

    # Whether closing may have to wait: for the child of `IO.popen`, or until threads that are in the
    # middle of something with the IO have let go of it.
    # @api private
    def self.may_wait?(io) = io.pid || Thread.list.size > 1
  end
end

# What fibers wait for ends when it is closed.
class IO
  prepend Polyphony::Closing
end
