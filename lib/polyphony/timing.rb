# frozen_string_literal: true

require_relative "time_limit"

module Polyphony
  # Time, as the methods below need it.
  module Timing
    module_function

    # @return [Float] seconds on the clock that never jumps
    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

    # Waits until the clock says so, whatever the fiber is scheduled with meanwhile.
    def wait_until(time)
      while (left = time - now).positive?
        Polyphony.pause(left)
      end
    end

    # Waits for some seconds, whatever the fiber is scheduled with meanwhile.
    def wait_for(seconds) = wait_until(now + seconds)

    # @return [Numeric] what it was given
    # @raise [TypeError, ArgumentError] for what is no duration
    def check_seconds(seconds)
      raise TypeError, "a number of seconds is needed, not #{seconds.inspect}" unless seconds.is_a?(Numeric)
      raise ArgumentError, "a time can't be negative: #{seconds}" unless seconds >= 0

      seconds
    end

    # @return [Numeric] what it was given
    # @raise [TypeError, ArgumentError] for what is no time between two turns
    def check_interval(interval)
      raise ArgumentError, "the interval must be positive" if check_seconds(interval).zero?

      interval
    end

    # @return what it was given
    # @raise [TypeError] for what {.make_exception} doesn't know
    def check_exception(given)
      klass = given.is_a?(Array) ? given.first : given
      case klass
      when String, Exception then return given unless given.is_a?(Array)
      when Class then return given if klass <= Exception
      end
      raise TypeError, "an exception, its class, [class, message] or a String is needed, not #{given.inspect}"
    end

    # The exception for what {Kernel#cancel_after} takes.
    def make_exception(given)
      case given
      when Exception then given
      when Class then given.new
      when Array then given.first.new(*given.drop(1))
      else RuntimeError.new(given)
      end
    end

    # Runs a block within a limit, which a block that takes an argument gets.
    def limited(limit, &block)
      block.arity.zero? ? limit.run(&block) : limit.run { yield limit }
    end

    # Starts a fiber that schedules the running one after some time.
    # @yieldreturn [Object] what with
    # @return [Fiber]
    def schedule_after(interval)
      check_seconds(interval)
      fiber = Fiber.current
      spin do
        wait_for(interval)
        Polyphony.machine.schedule(fiber, yield)
      end
    end

    # See {Kernel#every}.
    def every(interval)
      raise ArgumentError, "no block given" unless block_given?

      check_interval(interval)
      turn = now + interval
      loop do
        wait_until(turn)
        yield
        missed = ((now - turn) / interval).floor
        turn += interval * (missed.clamp(0, nil) + 1)
      end
    end
  end
end

# What Polyphony adds to every object: time.
module Kernel
  private

  # Starts a fiber that runs the block after some time.
  # @param interval [Numeric] seconds
  # @return [Fiber]
  def after(interval, &)
    raise ArgumentError, "no block given" unless block_given?

    Polyphony::Timing.check_seconds(interval)
    spin do
      Polyphony::Timing.wait_for(interval)
      yield
    end
  end

  # Runs the block again and again, for the first time after one interval. A turn that the block
  # takes too long for is left out, and the next ones come when they would have come anyway.
  # `break` and StopIteration end it.
  # @param interval [Numeric] seconds
  def every(interval, &) = Polyphony::Timing.every(interval, &)

  # Runs the block again and again, not more often than so many times per second. `break` and
  # StopIteration end it.
  # @param rate [Numeric, nil] times per second; or give `rate:`, or the seconds of an `interval:`
  # @param count [Integer, nil] how often; nil: for ever
  # @yieldparam throttler [Polyphony::Throttler]
  def throttled_loop(rate = nil, count: nil, **options)
    raise ArgumentError, "no block given" unless block_given?

    throttler = Polyphony::Throttler.new(rate || options)
    turns = count ? count.times : loop
    turns.each { throttler.call { yield throttler } }
  rescue StopIteration => e
    e.result
  end

  # Raises an exception in the block when it takes too long. Without a block: in the running fiber,
  # after that time, unless the fiber that this returns is ended before.
  # @param interval [Numeric] seconds
  # @param with_exception [Class, Exception, Array, String] what to raise; an Array has the class and
  #   its arguments, a String is the message of a RuntimeError
  # @yieldparam timeout [Polyphony::TimeLimit] whose `reset` begins the time anew
  # @return [Object, Fiber] the value of the block
  def cancel_after(interval, with_exception: Polyphony::Cancel, &)
    timing = Polyphony::Timing
    return timing.limited(Polyphony::TimeLimit::Cancelling.new(interval, with_exception), &) if block_given?

    timing.check_exception(with_exception)
    timing.schedule_after(interval) { timing.make_exception(with_exception) }
  end

  # Ends the block when it takes too long. Without a block: schedules the running fiber with the
  # value, after that time, unless the fiber that this returns is ended before.
  # @param interval [Numeric] seconds
  # @param with_value [Object] what is returned then
  # @yieldparam timeout [Polyphony::TimeLimit] whose `reset` begins the time anew
  # @return [Object, Fiber] the value of the block, or the other one
  def move_on_after(interval, with_value: nil, &)
    timing = Polyphony::Timing
    return timing.limited(Polyphony::TimeLimit::MovingOn.new(interval, with_value), &) if block_given?

    timing.schedule_after(interval) { with_value }
  end
end
