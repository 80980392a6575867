# frozen_string_literal: true

require "socket"

module Polyphony
  # `accept_loop` for listening sockets.
  module AcceptLoop
    # Yields each connection until the socket is shut down or closed. A connection is accepted when
    # the loop waits for one: while the block runs, those that come are left to others, and so are
    # they once the loop is left.
    #
    # What ends a fiber that the block has started, and that nobody awaits, ends its connection and
    # not the loop; so does what a peer does while the block talks to it. Any other error of the block
    # leaves the loop.
    # @param on_error [#call, nil] is called with what has gone wrong for a connection, and that
    #   connection, which is closed afterwards: then no error of the block leaves the loop. What it
    #   raises goes to the accepting fiber. nil: {Polyphony.on_error}, or a report on stderr
    # @yieldparam socket [BasicSocket] as `accept` would give it
    # @return [nil]
    # @raise [IOError] when the server was closed before
    # @raise [IO::TimeoutError] when none came in the time of {IO#timeout}
    def accept_loop(on_error: nil)
      raise ArgumentError, "no block given" unless block_given?

      Polyphony.accept_each(self, connection_class) do |socket|
        Serving.run(socket, on_error) { yield socket }
      end
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
