# frozen_string_literal: true

require "socket"

module Polyphony
  # `accept_loop` for listening sockets.
  module AcceptLoop
    # Yields each connection until the socket is shut down or closed.
    # @yieldparam socket [BasicSocket] as `accept` would give it
    # @return [nil]
    # @raise [IOError] when the server was closed before
    def accept_loop(&)
      raise ArgumentError, "no block given" unless block_given?

      @accept_loops = (@accept_loops || 0) + 1
      begin
        Polyphony.accept_each(self, connection_class, &)
      ensure
        @accept_loops -= 1
      end
    end

    # Ends the loops on this socket as well: the kernel would go on accepting for them.
    # @return [nil]
    def close
      shutdown(::Socket::SHUT_RD) if @accept_loops&.positive? && !closed?
      super
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
