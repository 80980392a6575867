# frozen_string_literal: true

require "socket"

module Polyphony
  # `accept_loop` for listening sockets.
  module AcceptLoop
    # Yields each connection until the socket is shut down or closed. A connection is accepted when
    # the loop waits for one: while the block runs, those that come are left to others, and so are
    # they once the loop is left.
    # @yieldparam socket [BasicSocket] as `accept` would give it
    # @return [nil]
    # @raise [IOError] when the server was closed before
    # @raise [IO::TimeoutError] when none came in the time of {IO#timeout}
    def accept_loop(&)
      raise ArgumentError, "no block given" unless block_given?

      Polyphony.accept_each(self, connection_class, &)
    end
  end
end

# Listening sockets have {Polyphony::AcceptLoop#accept_loop}.
class TCPServer
  include Polyphony::AcceptLoop

  private

  def connection_class = TCPSocket
end

# Listening sockets have {Polyphony::AcceptLoop#accept_loop}.
class UNIXServer
  include Polyphony::AcceptLoop

  private

  def connection_class = UNIXSocket
end

# Listening sockets have {Polyphony::AcceptLoop#accept_loop}.
class Socket
  include Polyphony::AcceptLoop

  private

  def connection_class = Socket
end
