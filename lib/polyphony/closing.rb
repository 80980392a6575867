# frozen_string_literal: true

module Polyphony
  # Closing an IO in the root fiber, where it may have to wait: for the child of `IO.popen`, or until
  # threads that are in the middle of something with the IO have let go of it.
  # @api private
  module Closing
    # See `IO#close`.
    # @return [nil]
    def close
      return super if closed? || !(pid || Thread.list.size > 1) || !RootFiber.applies?

      RootFiber.run { super }
    end
  end
end

# Around what the scheduler has put before it.
class IO
  prepend Polyphony::Closing
end
