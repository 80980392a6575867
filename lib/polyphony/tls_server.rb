# frozen_string_literal: true

require_relative "tls_acceptor"
require_relative "tls_connections"

module Polyphony
  # `accept_loop` for TLS servers.
  module TLSAcceptLoop
    # Yields each connection after its handshake, until the server is shut down or closed.
    # Handshakes go on at the same time, so that a client which doesn't finish its own keeps nobody
    # waiting. While the block runs, nothing new is accepted. Where the loop is left, connections
    # that it has accepted go to the next {#accept_loop} or {#accept}.
    # @param ignore_errors [Boolean] whether a client that fails in its handshake is left out silently
    # @param on_error [#call, nil] for what goes wrong behind that: see {AcceptLoop#accept_loop}
    # @yieldparam socket [OpenSSL::SSL::SSLSocket]
    # @return [nil]
    # @raise [OpenSSL::SSL::SSLError, SystemCallError, IOError] unless errors are ignored
    # @raise [IOError] when the server was closed before
    # @raise [IO::TimeoutError] when none came in the time of the listening socket's `timeout`
    def accept_loop(ignore_errors: true, on_error: nil)
      raise ArgumentError, "no block given" unless block_given?
      raise IOError, "closed stream" if closed?

      acceptor = TLSAcceptor.new(self, tls_connections, ignore_errors:) { |plain| tls_socket(plain) }
      acceptor.each { |socket| Serving.run(socket, on_error) { yield socket } }
    end

    # See `OpenSSL::SSL::SSLServer#accept`. What an {#accept_loop} has left comes first.
    # @return [OpenSSL::SSL::SSLSocket]
    def accept
      socket = tls_connections.take_ready
      return socket if socket

      socket = tls_connections.take_unfinished
      socket ? continue_handshake(socket) : super
    end

    # See `OpenSSL::SSL::SSLServer#close`. What an {#accept_loop} has left is closed as well.
    # @return [nil]
    def close
      super
    ensure
      tls_connections.close
    end

    private

    def tls_connections = @tls_connections ||= TLSConnections.new

    def tls_socket(plain)
      OpenSSL::SSL::SSLSocket.new(plain, @ctx).tap { |socket| socket.sync_close = true }
    rescue Exception # rubocop:disable Lint/RescueException -- nobody else knows the socket
      plain.close
      raise
    end

    def continue_handshake(socket)
      over = false
      socket.accept if start_immediately
      over = true
      socket
    rescue OpenSSL::SSL::SSLError, SystemCallError, IOError
      over = true
      socket.close
      raise
    ensure
      tls_connections.add_unfinished(socket) unless over
    end
  end
end

# One that is defined later gets it by {Polyphony::AwaitsOpenSSL}.
OpenSSL::SSL::SSLServer.prepend(Polyphony::TLSAcceptLoop) if defined?(OpenSSL::SSL::SSLServer)
