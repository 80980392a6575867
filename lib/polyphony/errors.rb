# frozen_string_literal: true

module Polyphony
  # What is raised in fibers from outside. Not a StandardError: no plain `rescue` catches it.
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

  # Ends a fiber that is no longer needed.
  class Terminate < BaseException; end

  # Ends a fiber, or a block, with an error: it goes to whoever waits for the fiber.
  class Cancel < BaseException; end

  # Has a fiber run its block once more.
  class Restart < BaseException; end

  # Runs a block in a fiber that waits. It isn't raised there: the wait goes on.
  class Interjection < BaseException
    # @param block [Proc] what to run
    def initialize(block)
      @block = block
      super()
    end

    # Called in the fiber.
    # @return [void]
    def invoke
      fiber = Fiber.current
      @block.arity.zero? ? @block.call : @block.call(fiber)
    end
  end
end

# Where an exception came from.
class Exception
  # @return [Fiber, nil] the fiber that it has ended first
  def source_fiber = @__source_fiber

  # @return [Fiber, nil] the fiber that has raised it in another one
  def raising_fiber = @__raising_fiber

  # Makes an exception of what `raise` takes: a class or an exception, a message, a backtrace; or
  # only a message.
  # @return [Exception]
  def self.instantiate(error = RuntimeError.new("unhandled exception"), *message)
    return RuntimeError.new(error) if error.is_a?(String)
    raise TypeError, "exception class/object expected" unless error.respond_to?(:exception)

    *message, backtrace = message if message.size > 1
    exception = error.exception(*message)
    exception.set_backtrace(backtrace) if backtrace
    exception
  end
end
