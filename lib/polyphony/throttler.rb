# frozen_string_literal: true

module Polyphony
  # Keeps something from happening too often, whichever fibers do it.
  class Throttler
    # @param rate [Numeric, Hash] times per second; or a Hash with `:rate`, or with the seconds of an
    #   `:interval`
    # @raise [RuntimeError] for anything else
    def initialize(rate)
      @interval = interval_of(rate)
      @next = 0
    end

    # Runs the block when it is time for it.
    # @yieldparam throttler [Throttler]
    # @return [Object] the value of the block
    def call
      turn = [@next, Timing.now].max
      @next = turn + @interval
      Timing.wait_until(turn)
      yield self
    end
    alias process call

    private

    def interval_of(given)
      rate, interval = given.is_a?(Hash) ? given.values_at(:rate, :interval) : given
      return interval if positive?(interval)
      return 1.0 / rate if positive?(rate)

      raise "a rate or an interval is needed, not #{given.inspect}"
    end

    def positive?(number) = number.is_a?(Numeric) && number.positive?
  end
end
