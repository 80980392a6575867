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
    @__um_mailbox ||= Polyphony::Mailbox.new # rubocop:disable Naming/MemoizedInstanceVariableName -- known natively
  end
end
