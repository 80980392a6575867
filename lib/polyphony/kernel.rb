# frozen_string_literal: true

# What Polyphony adds to every object.
#
# @!method spin(tag = nil)
#   Starts a fiber as a child of the running one. It is runnable at once and runs when the caller
#   waits.
#   @param tag [Object] a name for it
#   @return [Fiber]
# @!method snooze
#   Lets the other fibers run.
#   @return [Object] what the fiber was scheduled with meanwhile, or nil
# @!method suspend
#   Waits until somebody schedules the fiber. The fiber that a thread began with also goes on when
#   nothing is left to wait for.
#   @return [Object] what it was scheduled with, or nil
module Kernel
  # Starts a fiber that calls the block again and again, until it breaks, raises StopIteration, or
  # is ended.
  # @param tag [Object] a name for it
  # @param rate [Numeric, nil] calls per second
  # @param interval [Numeric, nil] seconds from one call to the next
  # @return [Fiber]
  def spin_loop(tag = nil, rate: nil, interval: nil, &block)
    raise ArgumentError, "no block given" unless block

    spin(tag) { Polyphony::Repetition.run(block, interval || (1.0 / rate if rate)) }
  end

  # Runs the block in a fiber, and waits for it and all fibers that it starts.
  # @return [Object] the block's value
  def spin_scope
    raise ArgumentError, "no block given" unless block_given?

    spin { yield.tap { Fiber.current.await_all_children } }.await
  end

  # Takes the next message from the running fiber's mailbox, and waits for one.
  # @return [Object]
  def receive = Fiber.current.mailbox.shift

  # Calls the block with each message that the running fiber gets, until it breaks or raises
  # StopIteration.
  def receive_loop
    raise ArgumentError, "no block given" unless block_given?

    mailbox = Fiber.current.mailbox
    loop { yield mailbox.shift }
  end

  # @return [Array] the messages that are there, which may be none
  def receive_all_pending = Fiber.current.mailbox.shift_all

  # See {Fiber#supervise}.
  def supervise(...) = Fiber.current.supervise(...)
end

module Polyphony
  # The loop of `spin_loop`.
  module Repetition
    class << self
      def run(block, interval)
        interval ? run_paced(block, interval) : loop { block.call }
      rescue StopIteration => e
        e.result
      rescue LocalJumpError => e
        # `break` out of a block whose method has returned.
        raise unless e.reason == :break

        e.exit_value
      end

      private

      def run_paced(block, interval)
        block.call
        Polyphony.machine.periodically(interval) { block.call }
      end
    end
  end
end
