# frozen_string_literal: true

module Polyphony
  # What few fibers need at their end. Called natively, in the fiber that ends.
  module Ending
    # A connection that its client has cut is the end of that connection, not of the program:
    # such an error stops at the main fiber, which is told on stderr.
    DISCONNECTS = Faults::DISCONNECTS

    # What a wait ends with when its IO is closed.
    CLOSED = "stream closed in another thread"
    private_constant :CLOSED

    # Scheduled by a fiber into itself, behind what others have scheduled before.
    LAST = Object.new.freeze
    private_constant :LAST

    class << self
      # Ends a fiber's children, eldest first, and waits until all of them have ended. A child that
      # was asked to end before is not disturbed in its `ensure` blocks.
      # A child that had waited for an IO which was closed just before has no failure of its own: a
      # fiber that ends closes what it has opened.
      # @return [Exception, nil] the last failure that came up meanwhile; or else that it is to begin
      #   anew
      def of_children(fiber)
        failure = anew = nil
        begin
          failure = own(end_all(fiber)) || failure while fiber.__children__?
          take_in_the_rest(fiber) if fiber.__marked__?(:heard)
        rescue MoveOn, Terminate
          retry
        rescue Restart => e
          anew = e
          retry
        rescue SignalException => e
          # A second ctrl-C is for those whose end takes too long.
          raise if fiber.main?

          failure = e
          retry
        rescue Exception => e # rubocop:disable Lint/RescueException
          failure = own(e) || failure
          retry
        end
        failure || anew
      end

      # The same for the fiber that a thread began with, at the thread's end. A connection that was
      # cut meanwhile doesn't change how the program ends.
      # @raise [Exception] the last one that came up meanwhile
      def of_root(fiber)
        failure = of_children(fiber)
        raise failure if failure && !Faults.disconnect?(failure)
      end

      # Tells the monitors of a fiber what it has ended with.
      # @return [void]
      def tell(fiber, monitors, result)
        monitors.each { |monitor| monitor.monitor_mailbox << [fiber, result] }
      end

      # Whether what has ended a fiber is no matter of its parent's: that is a thread's root, or it
      # accepts connections, which any fault of a peer may end then.
      def settled?(fiber, error, accepts)
        return false unless accepts ? Faults.peer?(error) : Faults.disconnect?(error)

        Faults.report(error, fiber)
        true
      end

      private

      # A failure that isn't just that an IO was closed.
      def own(failure)
        failure unless failure.is_a?(IOError) && failure.message == CLOSED
      end

      def end_all(fiber)
        graceful = fiber.graceful_shutdown?
        fiber.children.each { |child| child.terminate(graceful:) unless child.__marked__?(:asked) }
        fiber.__wait_for_children__
      end

      # An error of a child that was not awaited may still be on its way. Nobody is left who could
      # send another one.
      def take_in_the_rest(fiber)
        fiber.__schedule__(LAST, false)
        nil until Polyphony.machine.yield.equal?(LAST)
        fiber.__mark__(:heard, false)
      end
    end
  end
end
