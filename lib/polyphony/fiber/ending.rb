# frozen_string_literal: true

module Polyphony
  # Ending fibers from outside, and starting them again. None of it waits, and none of it runs the
  # fiber at once: it gets what it is told where it waits, when its turn comes. One that has not
  # begun never runs its block; one that has ended is left alone.
  module FiberEnding
    # Ends the fiber with a value.
    # @return [self, nil] nil where it had ended
    def move_on(value = nil) = end_by(MoveOn.new(value))

    alias stop move_on
    alias interrupt move_on

    # See {#move_on}; for fibers that Polyphony doesn't know, see core's `Fiber#kill`.
    # @return [self, nil]
    def kill(*value) = __kind__ ? move_on(*value) : super

    # Ends the fiber because it is no longer needed.
    # @param graceful [Boolean] whether it may take its time: it finds that in {#graceful_shutdown?}
    # @return [self, nil] nil where it had ended
    def terminate(gracefully = false, graceful: gracefully) # rubocop:disable Style/OptionalBooleanParameter -- as polyphony has it
      self.graceful_shutdown = graceful
      end_by(Terminate.new)
    end

    # @return [Boolean] whether the fiber was asked to end in its own time
    def graceful_shutdown? = __marked__?(:graceful)

    # @param graceful [Boolean]
    def graceful_shutdown=(graceful)
      __mark__(:graceful, graceful) if __kind__
    end

    # Fails the fiber: whoever waits for it, or its parent, gets the exception.
    # @param exception [Class, Exception]
    # @return [self]
    def cancel(exception = Cancel) = raise(exception)

    # Raises in the fiber; in the running one at once. Takes what `Kernel#raise` takes.
    # @return [self]
    def raise(*args, **)
      return super unless __kind__
      return ::Kernel.raise(*args, **) if equal?(::Fiber.current)

      __schedule__(exception_of(*args), true)
    end

    # Has the fiber begin anew, with a new mailbox. One that has ended gets a successor with the
    # same block, tag, parent and monitors.
    # @param value [Object] what the block gets
    # @return [Fiber] the fiber, or its successor
    def restart(value = nil)
      ::Kernel.raise ::FiberError, "only fibers made by spin can be started again" unless __kind__ == :spun
      return __again__(value) if dead?

      # At once: what is sent from now on is for the new start.
      @__um_mailbox = nil
      return __schedule__(value, false) unless __marked__?(:started)

      ::Kernel.raise Restart, value if equal?(::Fiber.current)

      __schedule__(Restart.new(value), false)
    end

    alias reset restart

    # Makes the fiber runnable; also from other threads. An exception is raised where it waits, any
    # other value is what the call that waits returns.
    # @return [self]
    def schedule(value = nil) = __schedule__(value, false)

    # The same, before all others.
    # @return [self]
    def schedule_with_priority(value = nil) = __schedule__(value, true)

    # Runs the block in the fiber, in the midst of what it waits for, which then goes on. An
    # exception of the block is raised there.
    # @yieldparam fiber [Fiber] the fiber
    # @return [self]
    def interject(&block)
      ::Kernel.raise ::ArgumentError, "no block given" unless block

      __schedule__(Interjection.new(block), false)
    end

    # Waits until all its children have ended. See {Fiber.await}.
    # @return [Array] their values
    def await_all_children = ::Fiber.await(children)

    # Ends its children. See {#terminate}.
    # @return [self]
    def terminate_all_children(gracefully = false, graceful: gracefully) # rubocop:disable Style/OptionalBooleanParameter
      children.each { |child| child.terminate(graceful:) }
      self
    end

    # The same, and waits until they have ended.
    # @return [self]
    def shutdown_all_children(gracefully = false, graceful: gracefully) # rubocop:disable Style/OptionalBooleanParameter
      until (left = children).empty?
        left.each { |child| child.terminate(graceful:) }
        Polyphony.machine.await(left)
      end
      self
    end

    private

    def end_by(exception)
      return if dead?

      ::Kernel.raise exception if equal?(::Fiber.current)
      return __schedule__(exception, false) unless __kind__ == :spun

      __ask__(exception)
    end

    def exception_of(*args)
      exception = ::Exception.instantiate(*args)
      exception.instance_variable_set(:@__raising_fiber, ::Fiber.current) unless exception.frozen?
      exception
    end
  end
end
