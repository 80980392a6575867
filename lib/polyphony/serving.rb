# frozen_string_literal: true

require "socket"

# What goes wrong with one connection of a server.
module Polyphony
  # A connection that a server loop has handed to its block. What goes wrong in there, and in the
  # fibers that the block starts, is that connection's: it is closed, and the loop goes on.
  class Serving
    # What a handler may fail with that is no end of the program: what a plain `rescue` catches, what
    # the VM raises about a request that asks for too much, and what ends a fiber.
    FAILURES = [StandardError, ScriptError, NoMemoryError, SystemStackError, Cancel].freeze
    private_constant :FAILURES

    # Calls the block with the connection. Fibers that it starts meanwhile are the connection's
    # handlers.
    # @param on_error [#call, nil] see {AcceptLoop#accept_loop}
    # @return [void]
    # @raise [StandardError] the block's own, without `on_error`
    def self.run(connection, on_error)
      fiber = Fiber.current
      serving = new(connection, on_error)
      before = fiber.__serve__(serving)
      begin
        yield connection
      ensure
        fiber.__serve__(before)
      end
    rescue StandardError => e
      raise unless serving&.takes?(e)

      serving.settle(e, fiber)
    end

    def initialize(connection, on_error)
      @connection = connection
      @on_error = on_error
    end

    # Whether an error of the block itself is the connection's, and doesn't leave the loop.
    def takes?(error)
      (@on_error || Polyphony.peer_fault?(error)) && !error.raising_fiber && ours?(error.source_fiber)
    end

    # Ends the connection of a handler that nobody waits for. Called natively, too, in the handler.
    # @return [Boolean] whether nobody else has to know of the error
    # @raise [Exception] what `on_error` raises
    def settle(error, fiber)
      return false unless FAILURES.any? { |error_class| error.is_a?(error_class) }

      begin
        tell(error, fiber)
      ensure
        close
      end
      true
    end

    private

    # It has come up here, or in a fiber that the block has started, or below one.
    def ours?(fiber)
      return true if fiber.nil? || fiber.equal?(Fiber.current)

      fiber = fiber.parent until fiber.nil? || fiber.__errand__.equal?(self)
      !fiber.nil?
    end

    def tell(error, fiber)
      return if error.is_a?(Cancel)

      handler = @on_error || Polyphony.on_error
      return Faults.report(error, fiber) unless handler

      takes_one = handler.respond_to?(:arity) && handler.arity == 1
      takes_one ? handler.call(error) : handler.call(error, @connection)
    end

    def close
      @connection.close unless @connection.closed?
    rescue StandardError
      # It is gone.
    end
  end

  # What peers do, and what is said of it.
  module Faults
    # A connection that its peer has cut.
    DISCONNECTS = [Errno::ECONNRESET, Errno::EPIPE, Errno::ECONNABORTED].freeze

    # What else comes up on a server's side when a peer stops talking, or never did: the names of the
    # last are looked up when somebody asks, as openssl may be loaded later.
    SILENCES = [EOFError, IO::TimeoutError, Errno::ETIMEDOUT, Errno::ENOTCONN, Errno::EHOSTUNREACH,
                Errno::ENETUNREACH].freeze

    class << self
      def disconnect?(error) = DISCONNECTS.any? { |error_class| error.is_a?(error_class) }

      def peer?(error)
        disconnect?(error) || SILENCES.any? { |error_class| error.is_a?(error_class) } || tls?(error)
      end

      # Says on stderr what has ended a fiber, where threads report such: a line about a peer, and all
      # there is to say of anything else.
      # @return [void]
      def report(error, fiber)
        return unless Thread.current.report_on_exception
        return warn("#{fiber.inspect}: connection lost: #{error.message}") if peer?(error)

        $stderr.write("#{fiber.inspect}: its connection is closed: #{error.full_message(highlight: false)}\n")
      rescue IOError, SystemCallError
        # There is no stderr, and a server doesn't end for that.
      end

      private

      def tls?(error) = defined?(OpenSSL::SSL::SSLError) && error.is_a?(OpenSSL::SSL::SSLError)
    end
  end
  private_constant :Faults

  # A fiber that accepts connections by hand is a server, too: what a peer does to one that it has
  # started doesn't end it.
  module Accepting
    # See `TCPServer#accept`, `UNIXServer#accept` and `Socket#accept`.
    def accept(...)
      Fiber.current.__accepts__
      super
    end

    # Puts it before the methods.
    def self.install = [TCPServer, UNIXServer, ::Socket].each { |owner| owner.prepend(self) }
  end

  class << self
    # Whether an error is what a peer can bring about on the other side of a connection: a reset, the
    # end of the stream, silence beyond a timeout, a TLS alert.
    def peer_fault?(error) = Faults.peer?(error)

    # Sets what is called with an error that has ended a handler of a connection, and that
    # connection, where the loop has no `on_error:` of its own. Without a block, tells it.
    # @yieldparam error [Exception]
    # @yieldparam connection [BasicSocket, OpenSSL::SSL::SSLSocket] it is closed afterwards
    # @return [#call, nil]
    def on_error(&block)
      @on_error = block if block
      @on_error
    end

    # The same as an object that can be called; nil: errors are reported on stderr.
    attr_writer :on_error
  end
end
