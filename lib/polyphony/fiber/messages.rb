# frozen_string_literal: true

module Polyphony
  # Messages to fibers: what {Fiber#mailbox} is under Polyphony.
  module FiberMessages
    # Sends a message to the fiber. See {Kernel#receive}.
    # @return [self]
    def <<(message)
      mailbox << message
      self
    end

    private

    # That of a thread's main fiber is the thread's.
    def __new_mailbox__
      Polyphony.main_fiber if equal?(Fiber.current) && Fiber.blocking? # it is known from now on
      main? ? ThreadMailboxes.of(thread) : Mailbox.new
    end
  end
end
