# frozen_string_literal: true

module Polyphony
  # Handlers of signals run in fibers of their own, children of the main fiber.
  #
  # Ruby runs a handler inside whatever fiber the signal meets. There a wait would hold up that
  # fiber, a fiber that it spins would end with that one, and no Mutex can be locked: neither by
  # the handler nor, ever, by a fiber that was made in it. So the handler runs in a fiber that was
  # made before the signal came: at once up to its first wait, as a plain handler would, and what it
  # raises until then comes up where the signal has met the program.
  #
  # It stays a plain handler where the main thread has no scheduler of ours, and with
  # `POLYPHONY_ROOT_FIBER=0` in the environment.
  module Trap
    # A fiber that starts the one for the next handler. It was made beforehand, so what it makes is
    # as good as made outside of a handler.
    class Spare
      def initialize
        @machine = Polyphony.machine
        @fiber = @machine.prepare do
          Trap.replenish
          @machine.start(Polyphony.main_fiber.spin(:trap) { carry_out })
          nil
        end
      end

      # Runs a handler up to its first wait.
      # @param handler [#call]
      # @param signal [Integer]
      # @return [void]
      # @raise [Exception] what has ended it before that
      def run(handler, signal)
        @handler = handler
        @signal = signal
        @at_once = true
        @machine.start(@fiber)
        raise @fiber.result if @fiber.result
        raise with_callers(@error) if @error
      ensure
        @at_once = false
      end

      private

      def with_callers(error) = error.tap { error.set_backtrace([*error.backtrace, *caller(2)]) }

      def carry_out
        @handler.call(@signal)
      rescue Exception => e # rubocop:disable Lint/RescueException
        raise unless @at_once

        @error = e
        nil
      end
    end

    # The methods that set handlers.
    module Methods
      # See `Signal.trap`.
      # @return [Object] the former handler, as it was given
      def trap(signal, *command, &block)
        handler = command.empty? ? block : command.first
        return Trap.unwrap(super) unless handler.respond_to?(:call) && command.size < 2

        Trap.unwrap(super(signal, &Trap.wrap(handler)))
      end
    end

    # `Kernel#trap` is private.
    module PrivateMethods
      include Methods

      private :trap
    end

    @pending = []

    class << self
      # Puts a wrapper before the methods that set handlers.
      # @return [void]
      def install
        @of_main = Thread.current.equal?(Thread.main)
        [Kernel, Signal].each { |owner| owner.singleton_class.prepend(Methods) }
        Kernel.prepend(PrivateMethods)
      end

      # @param handler [#call]
      # @return [Proc] what Ruby gets to know
      def wrap(handler)
        replenish if @spare.nil? && Thread.current.equal?(Thread.main)
        wrapper = proc { |signal| handle(handler, signal) }
        wrapper.instance_variable_set(:@__polyphony_handler, handler)
        wrapper
      end

      # @param handler [Object] a handler as Ruby knows it
      # @return [Object] as it was given
      def unwrap(handler)
        (handler.instance_variable_get(:@__polyphony_handler) if handler.is_a?(Proc)) || handler
      end

      # Makes a fiber for the next signal. In a handler that would be too late.
      # @return [void]
      def replenish
        @owner = Process.pid
        @spare = (Spare.new if @of_main && ours?)
      ensure
        @starting = false
      end

      # In a forked child, which has another machine, and from Ruby 4.0 on has lost its scheduler. Where
      # it can't have them, handlers are plain.
      # @return [void]
      def renew
        @pending.clear
        return unless @owner

        Polyphony.enter_thread unless ours?
        replenish
      rescue UringMachine::Error
        @spare = nil
      end

      private

      def ours? = Fiber.scheduler.is_a?(Scheduler)

      def handle(handler, signal)
        ready = (@spare || @starting) && @owner == Process.pid && ours?
        return handler.call(signal) unless ready

        @pending << [handler, signal]
        run_pending
      end

      # Where another signal comes before there is the next spare, its handler comes after this one.
      def run_pending
        return if @spare.nil? || @pending.empty?

        @starting = true
        spare = @spare
        @spare = nil
        begin
          spare.run(*@pending.shift)
        ensure
          run_pending
        end
      end
    end
  end
end
