# frozen_string_literal: true

module SpecSupport
  # A place that nobody leaves before so many have come: fibers or threads that take their turns one
  # after the other never meet.
  class Meeting
    def initialize(size)
      @size = size
      @arrived = 0
      @lock = Thread::Mutex.new
      @complete = Thread::ConditionVariable.new
    end

    def arrive
      @lock.synchronize do
        @arrived += 1
        @complete.broadcast if @arrived == @size
        @complete.wait(@lock) until @arrived >= @size
      end
    end
  end
end
