# frozen_string_literal: true

# The mailboxes of fibers.
class UringMachine
  # Which mailboxes fibers have. Polyphony includes a module of its own, with others.
  # @private
  module FiberMailboxes
    private

    def __new_mailbox__ = Queue.new
  end
  private_constant :FiberMailboxes

  Fiber.include(FiberMailboxes)
end

# Every fiber has a mailbox, made when first asked for.
class Fiber
  # @return [UringMachine::Queue] the messages that it has got: a {Polyphony::Mailbox} under Polyphony
  def mailbox
    @__um_mailbox ||= __new_mailbox__ # rubocop:disable Naming/MemoizedInstanceVariableName
  end
end
