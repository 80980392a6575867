# frozen_string_literal: true

module Polyphony
  # The messages that a fiber has got. Anybody may send, from any thread; only its fiber takes.
  class Mailbox < UringMachine::Queue
    # Sets a limit: who sends when that many messages are there waits.
    # @param limit [Integer, nil] nil for none
    # @return [self]
    def cap(limit)
      raise TypeError, "limit must be an Integer or nil" unless limit.nil? || limit.is_a?(Integer)
      raise ArgumentError, "limit must be positive" unless limit.nil? || limit.positive?

      @limit = limit
      @senders ||= []
      @senders.each(&:schedule)
      self
    end

    # @return [self]
    def <<(message)
      wait_for_room if @limit
      Polyphony.machine.push(self, message)
    end

    alias push <<

    # Takes the first message, and waits for one.
    # @return [Object]
    def shift
      message = Polyphony.machine.shift(self)
      @senders.first&.schedule if @limit
      message
    end

    # @return [Array] all messages that are there
    def shift_all
      machine = Polyphony.machine
      messages = Array.new(count) { machine.shift(self) }
      @senders.first(messages.size).each(&:schedule) if @limit
      messages
    end

    # @return [Integer] messages that are there
    alias size count

    # @return [Boolean]
    def empty? = count.zero?

    private

    # Senders go on in the order in which they came.
    def wait_for_room
      return if @senders.empty? && count < @limit

      fiber = Fiber.current
      @senders << fiber
      begin
        Polyphony.machine.yield until @limit.nil? || (@senders.first.equal?(fiber) && count < @limit)
      ensure
        @senders.delete(fiber)
        @senders.first&.schedule
      end
    end
  end
end
