# frozen_string_literal: true

# What Polyphony adds to threads. `join`, `value`, `kill` and `raise` are core's; a root fiber that
# joins a thread lets its fibers run.
class Thread
  # Waits until the thread has ended.
  # @return [Object] its value
  # @raise [Exception] what ended it
  def await = value

  # @return [Boolean] whether it has ended
  def done? = !alive?

  # Sends a message to the fiber that the thread begins with. See {Kernel#receive}.
  # @return [self]
  def <<(message)
    Polyphony::ThreadMailboxes.of(self) << message
    self
  end

  # @return [Fiber, nil] the fiber that it has begun with; nil as long as it hasn't spun any
  def main_fiber = equal?(Thread.current) ? Polyphony.main_fiber : @__polyphony_main_fiber
end

module Polyphony
  # The mailboxes of threads. One is there as soon as somebody sends, also before its thread runs.
  module ThreadMailboxes
    LOCK = Thread::Mutex.new
    private_constant :LOCK

    # @return [Mailbox]
    def self.of(thread)
      LOCK.synchronize do
        thread.instance_variable_get(:@__polyphony_mailbox) ||
          thread.instance_variable_set(:@__polyphony_mailbox, Mailbox.new)
      end
    end
  end
end
