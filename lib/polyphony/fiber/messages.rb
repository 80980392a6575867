# frozen_string_literal: true

module Polyphony
  # Messages to fibers.
  module FiberMessages
    # Sends a message to the fiber. See {Kernel#receive}.
    # @return [self]
    def <<(message)
      mailbox << message
      self
    end
  end
end

# Every fiber has a mailbox, made when first asked for.
class Fiber
  # @return [Polyphony::Mailbox] the messages that it has got
  def mailbox
    @__um_mailbox ||= new_mailbox # rubocop:disable Naming/MemoizedInstanceVariableName -- known natively
  end

  private

  # That of a thread's main fiber is the thread's.
  def new_mailbox
    Polyphony.main_fiber if equal?(Fiber.current) && Fiber.blocking? # it is known from now on
    main? ? Polyphony::ThreadMailboxes.of(thread) : Polyphony::Mailbox.new
  end
end
