# frozen_string_literal: true

module Polyphony
  # `accept_loop` for TLS servers.
  module TLSAcceptLoop
    # Yields each connection after its handshake, until the server is closed. Handshakes go on at
    # the same time, so that a client which doesn't finish its own keeps nobody waiting.
    # @param ignore_errors [Boolean] whether a client that fails in its handshake is left out silently
    # @param on_error [#call, nil] for what goes wrong behind that: see {AcceptLoop#accept_loop}
    # @yieldparam socket [OpenSSL::SSL::SSLSocket]
    # @return [nil]
    # @raise [OpenSSL::SSL::SSLError, SystemCallError] unless errors are ignored
    def accept_loop(ignore_errors: true, on_error: nil)
      raise ArgumentError, "no block given" unless block_given?

      machine = Polyphony.machine
      arrived = UringMachine::Queue.new
      accepting = spin { pass_on(ignore_errors) { |socket| machine.push(arrived, socket) } }
      while (socket = machine.shift(arrived))
        raise socket if socket.is_a?(Exception)

        Serving.run(socket, on_error) { yield socket }
      end
    ensure
      leave(machine, accepting, arrived) if accepting
    end

    private

    # Yields sockets, and failures as exceptions; nil when the server was closed.
    def pass_on(ignore_errors)
      to_io.accept_loop do |plain|
        spin do
          yield shake_hands(plain)
        rescue OpenSSL::SSL::SSLError, SystemCallError => e
          yield e unless ignore_errors
        end
      end
      yield nil
    end

    def shake_hands(plain)
      socket = OpenSSL::SSL::SSLSocket.new(plain, @ctx)
      socket.sync_close = true
      start_immediately ? socket.accept : socket
    rescue Exception # rubocop:disable Lint/RescueException -- interrupted, it leaves no socket behind
      plain.close
      raise
    end

    # Ends the handshakes, and closes the connections that nobody has taken.
    def leave(machine, accepting, arrived)
      accepting.terminate
      machine.await(accepting)
      while arrived.count.positive?
        socket = machine.shift(arrived)
        socket.close if socket.respond_to?(:close)
      end
    end
  end
end

# One that is defined later gets it by {Polyphony::AwaitsOpenSSL}.
OpenSSL::SSL::SSLServer.include(Polyphony::TLSAcceptLoop) if defined?(OpenSSL::SSL::SSLServer)
