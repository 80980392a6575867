# frozen_string_literal: true

# Ping-pong by Ruby's own IO methods: the same lines for the scheduler and for threads.

require_relative "../pipes/stock"

module PingPong
  module_function

  # Messages of even index go from the side whose `turn` is 0 to the other, those of odd index
  # back. Returns how many were received.
  def exchange(io, pair, count, turn)
    buffer = Pipes.buffer
    messages = Pipes.messages(pair)
    size = Pipes::SIZE
    received = 0
    count.times do |index|
      message = messages[index & 63]
      next io.write(message) if index & 1 == turn

      io.readpartial(size, buffer)
      buffer << io.readpartial(size - buffer.bytesize) while buffer.bytesize < size
      buffer == message or Pipes.wrong(pair, index)
      received += 1
    end
    received
  end
end
