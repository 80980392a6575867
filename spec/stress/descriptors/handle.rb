# frozen_string_literal: true

module DescriptorStress
  # An end of a transfer that others may close: an IO, or nothing but a number.
  class Handle
    # @return [Integer] the descriptor's number, as long as it is open
    attr_reader :number

    def initialize(io, by_number: false)
      @number = io.to_io.fileno
      @by_number = by_number
      by_number ? io.autoclose = false : @io = io
      @open = true
    end

    # What a transfer gets, right now: a number that was closed is somebody else's.
    def given
      return @io unless @by_number

      @open ? @number : raise(Errno::EBADF)
    end

    def by_number? = @by_number

    def open? = @open && !(@io && (@io.respond_to?(:closed?) && @io.closed?))

    # For core's own methods.
    def io = @io || IO.for_fd(@number, "r", autoclose: false)

    # In a fiber, or in whichever thread runs it. Only the first one closes: afterwards the number
    # belongs to somebody else.
    def close
      return unless @open

      @open = false
      @by_number ? Polyphony.machine.close(@number) : @io.close
    end
  end
end
