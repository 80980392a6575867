# frozen_string_literal: true

module Polyphony
  # A mutex that belongs to the fiber that has locked it. Whoever leaves it hands it over to the one
  # who has waited longest, in whichever thread.
  #
  # @!method lock
  #   @return [self]
  #   @raise [ThreadError] in the fiber that has it
  # @!method try_lock
  #   @return [Boolean] whether it was free; the fiber has it then
  # @!method unlock
  #   @return [self]
  #   @raise [ThreadError] in a fiber that hasn't got it
  # @!method synchronize { }
  #   Runs the block with the mutex locked. The fiber may have it already.
  #   @return [Object] the value of the block
  # @!method locked?
  #   @return [Fiber, nil] who has it
  # @!method owned?
  #   @return [Boolean] whether the running fiber has it
  class Mutex
    # Unlocks it, sleeps, and locks it again.
    # @param timeout [Numeric, nil] seconds; nil: until the fiber is scheduled
    # @return [Integer] seconds
    def sleep(timeout = nil)
      unlock
      start = Timing.now
      begin
        Polyphony.pause(timeout)
      ensure
        lock_again
      end
      (Timing.now - start).round
    end

    # Locks it for a fiber that has unlocked it only to wait: what it is interrupted with meanwhile
    # is raised once it has the mutex, as the code around it counts on that.
    # @private
    def lock_again
      interruption = nil
      until owned?
        begin
          lock
        rescue Exception => e # rubocop:disable Lint/RescueException
          raise if e.is_a?(UM::Error)

          interruption = e
        end
      end
      raise interruption if interruption
    end
  end
end
