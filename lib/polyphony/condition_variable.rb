# frozen_string_literal: true

module Polyphony
  # Fibers that have unlocked a mutex and wait until another one has something for them.
  class ConditionVariable
    def initialize
      @waiters = Waiters.new
    end

    # Unlocks the mutex, waits, and locks it again. What was waited for may be gone by then.
    # @param mutex [Mutex] that the fiber has; {Monitor} has conditions of its own
    # @param timeout [Numeric, nil] seconds
    # @return [self, nil] nil past the timeout
    def wait(mutex, timeout = nil)
      unlocked = false
      begin
        signalled = @waiters.wait(timeout) do
          mutex.unlock
          unlocked = true
        end
      ensure
        mutex.lock_again if unlocked
      end
      self if signalled
    end

    # Lets the one go on who has waited longest.
    # @return [self]
    def signal
      @waiters.call
      self
    end

    # Lets all go on who wait.
    # @return [self]
    def broadcast
      @waiters.call_all
      self
    end
  end

  # Fibers in line for something that Ruby code decides on. The call of one that is interrupted, or
  # whose thread ends, before it has run is for the next.
  #
  # @!method wait(timeout = nil) { }
  #   Waits for a call. The block runs when the fiber stands in line already.
  #   @return [true, nil] nil past the timeout
  # @!method call
  #   @return [Boolean] whether there was somebody in line
  # @!method call_all
  #   @return [self]
  # @private
  class Waiters # rubocop:disable Lint/EmptyClass -- its methods are native
  end
  private_constant :Waiters
end
