# frozen_string_literal: true

require "timeout"

module Polyphony
  # `Timeout.timeout` in the root fiber, for which Ruby asks no scheduler. Ruby's own would raise in
  # the thread, in whichever fiber happens to run.
  module Timeouts
    # See `Timeout.timeout`.
    def timeout(sec, klass = nil, message = nil, &)
      return super unless RootFiber.applies? && sec.is_a?(Numeric) && sec.positive?

      Fiber.scheduler.timeout_after(sec, klass || ::Timeout::Error, message || "execution expired", &)
    end

    # Puts it before Ruby's own.
    def self.install
      ::Timeout.singleton_class.prepend(self)
    end
  end
end
