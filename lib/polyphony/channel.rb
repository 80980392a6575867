# frozen_string_literal: true

module Polyphony
  # A queue whose end is the end of those who wait for it.
  class Channel < Queue
    alias receive shift

    # Ends, by {MoveOn}, what waits for an item.
    # @return [self]
    def close
      flush_waiters(MoveOn.new)
      super
    end
  end
end
