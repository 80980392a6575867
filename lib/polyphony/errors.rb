# frozen_string_literal: true

module Polyphony
  # What ends fibers from outside. Not a StandardError: no plain `rescue` catches it.
  class BaseException < Exception # rubocop:disable Lint/InheritException
    # @return [Object] the value that the fiber ends with
    attr_reader :value

    # @param value [Object] the value that the fiber ends with
    def initialize(value = nil)
      @value = value
      super("interrupted")
    end
  end

  # Ends a fiber, or a block, with a value.
  class MoveOn < BaseException; end

  # Ends a fiber, or a block, and is an error to whoever waits for it.
  class Cancel < BaseException; end

  # Ends a fiber that is no longer needed.
  class Terminate < BaseException; end
end
