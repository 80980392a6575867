# frozen_string_literal: true

module Polyphony
  # The methods of time, in one object. With the original, a timer saves a timeout of the kernel's
  # for each of them; here none of them takes one.
  class Timer
    # @param tag [Object] a name for the fibers that it starts
    # @param resolution [Numeric] seconds between two looks at the clock, with the original; here
    #   nothing is that late
    def initialize(tag = nil, resolution:)
      Timing.check_interval(resolution)
      @tag = tag
      @limits = {}.compare_by_identity
      @fibers = {}.compare_by_identity
    end

    # @param duration [Numeric] seconds
    # @return [void]
    def sleep(duration) = Timing.wait_for(Timing.check_seconds(duration))

    # See {Kernel#after}. {#stop} ends the fiber.
    # @return [Fiber]
    def after(interval)
      raise ArgumentError, "no block given" unless block_given?

      Timing.check_seconds(interval)
      fiber = spin(@tag) do
        Timing.wait_for(interval)
        yield
      ensure
        @fibers.delete(fiber)
      end
      @fibers[fiber] = true
      fiber
    end

    # See {Kernel#every}.
    def every(...) = Timing.every(...)

    # See {Kernel#cancel_after}.
    # @yieldparam timer [Timer] whose {#reset} begins the time anew
    def cancel_after(interval, with_exception: Cancel, &)
      limited(TimeLimit::Cancelling.new(interval, with_exception), &)
    end

    # See {Kernel#move_on_after}.
    # @yieldparam timer [Timer] whose {#reset} begins the time anew
    def move_on_after(interval, with_value: nil, &)
      limited(TimeLimit::MovingOn.new(interval, with_value), &)
    end

    # Begins the running fiber's time anew: that of its innermost block.
    # @return [void]
    def reset = @limits[Fiber.current]&.reset

    # Ends the fibers that {#after} has started and that still wait.
    # @return [void]
    def stop
      @fibers.each_key(&:terminate)
      @fibers.clear
      nil
    end

    private

    def limited(limit)
      raise ArgumentError, "no block given" unless block_given?

      fiber = Fiber.current
      outer = @limits[fiber]
      @limits[fiber] = limit
      limit.run { yield self }
    ensure
      outer ? @limits[fiber] = outer : @limits.delete(fiber)
    end
  end
end
