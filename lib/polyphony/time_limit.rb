# frozen_string_literal: true

module Polyphony
  # A block's time, which can be begun anew while the block runs.
  #
  # @!method initialize(seconds)
  #   @param seconds [Numeric] less than nothing is nothing
  # @!method run { }
  #   Runs the block; past the time, `exception` is raised where the fiber waits. Once the block has
  #   ended nothing comes late.
  #   @return [Object] the value of the block
  # @!method reset
  #   Begins the time anew, unless it is up.
  #   @return [self]
  # @!method stop
  #   Takes the limit away.
  #   @return [nil]
  class TimeLimit
    alias restart reset

    # Past which an exception is raised.
    class Cancelling < TimeLimit
      # @param exception see {Kernel#cancel_after}
      def initialize(seconds, exception)
        super(seconds)
        @exception = Timing.check_exception(exception)
      end

      # @return [Exception] what is raised
      def exception = Timing.make_exception(@exception)
    end

    # Past which the block has a value without coming to its end.
    class MovingOn < TimeLimit
      # @param value [Object]
      def initialize(seconds, value)
        super(seconds)
        @value = value
      end

      # @return [MoveOn] what is raised
      def exception = @exception ||= MoveOn.new(@value)

      # As for every limit; past the time it is the other value.
      def run
        super
      rescue MoveOn => e
        raise unless e.equal?(@exception)

        @value
      end
    end
  end
end
