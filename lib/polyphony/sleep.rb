# frozen_string_literal: true

module Polyphony
  # `sleep` where a scheduler of ours runs the fibers, the root fiber included: it parks in the
  # machine, and ends when the fiber is scheduled.
  module Sleep
    # @param duration [Numeric, nil] seconds; nil: until the fiber is scheduled; 0 lets others run
    # @return [Object] what the fiber was scheduled with, or else the seconds that have passed, as an
    #   Integer
    # @raise [TypeError, ArgumentError] as of `Kernel#sleep`
    def self.for(duration = nil)
      start = Timing.now
      value = Polyphony.pause(duration)
      value.nil? ? (Timing.now - start).round : value
    end

    # Puts it before Ruby's own.
    def self.install
      Kernel.prepend(wrapper(:private))
      Kernel.singleton_class.prepend(wrapper(:public))
    end

    # A module with such a `sleep`.
    def self.wrapper(visibility)
      Module.new do
        define_method(:sleep) do |*duration|
          Fiber.scheduler.is_a?(Scheduler) ? Sleep.for(*duration) : super(*duration)
        end
        send(visibility, :sleep)
      end
    end
  end
end
