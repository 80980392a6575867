# frozen_string_literal: true

module Polyphony
  # A mutex that a fiber may enter again while it is in.
  class Monitor
    def initialize
      @mutex = Mutex.new
      @depth = 0
    end

    # Enters, and waits for that if another fiber is in.
    # @return [nil]
    def enter
      @mutex.lock unless @mutex.owned?
      @depth += 1
      nil
    end
    alias mon_enter enter

    # Enters if no other fiber is in.
    # @return [Boolean] whether it is in now
    def try_enter
      return false unless @mutex.owned? || @mutex.try_lock

      @depth += 1
      true
    end
    alias try_mon_enter try_enter
    alias mon_try_enter try_enter

    # Leaves, as often as it has entered.
    # @return [nil]
    # @raise [ThreadError] in a fiber that is not in
    def exit
      mon_check_owner
      @depth -= 1
      @mutex.unlock if @depth.zero?
      nil
    end
    alias mon_exit exit

    # Runs the block inside.
    # @return [Object] the value of the block
    def synchronize
      enter
      begin
        yield
      ensure
        self.exit
      end
    end
    alias mon_synchronize synchronize

    # @return [Fiber, nil] who is in
    def locked? = @mutex.locked?
    alias mon_locked? locked?

    # @return [Boolean] whether the running fiber is in
    def owned? = @mutex.owned?
    alias mon_owned? owned?

    # @raise [ThreadError] in a fiber that is not in
    def mon_check_owner
      raise ThreadError, "this fiber is not in the monitor" unless owned?
    end

    # @return [Condition] that fibers inside can wait for
    def new_cond = Condition.new(self)

    # Leaves it altogether, waits for the condition, and is as deep inside again as before.
    # @return [Object, nil] nil past the timeout
    def wait_for_cond(condition, timeout)
      mon_check_owner
      depth = @depth
      @depth = 0
      condition.wait(@mutex, timeout)
    ensure
      @depth = depth if depth
    end

    # What fibers inside a monitor wait for.
    class Condition
      # @param monitor [Monitor]
      def initialize(monitor)
        @monitor = monitor
        @condition = ConditionVariable.new
      end

      # Leaves the monitor, waits for a signal, and enters again.
      # @param timeout [Numeric, nil] seconds
      # @return [Boolean] false past the timeout
      def wait(timeout = nil) = !@monitor.wait_for_cond(@condition, timeout).nil?

      # Waits as long as the block is true.
      def wait_while
        wait while yield
      end

      # Waits as long as the block is false.
      def wait_until
        wait until yield
      end

      # Lets the one go on who has waited longest.
      def signal
        @monitor.mon_check_owner
        @condition.signal
      end

      # Lets all go on who wait.
      def broadcast
        @monitor.mon_check_owner
        @condition.broadcast
      end
    end
  end
end
