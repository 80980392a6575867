# frozen_string_literal: true

require "socket"

module Polyphony
  # Options of sockets by name. Each gives the socket back.
  module SocketOptions
    # `close` doesn't wait for what was not sent yet; the kernel goes on sending it. That is the
    # default.
    # @return [self]
    def dont_linger = option(:SOCKET, Socket::Option.linger(false, 0).data, :LINGER)

    # Small messages are sent at once.
    # @return [self]
    def no_delay = option(:TCP, true, :NODELAY)

    # A server may listen where connections of another one are still coming to their end.
    # @return [self]
    def reuse_addr = option(:SOCKET, true, :REUSEADDR)

    # Several servers that ask for it may listen on one port.
    # @return [self]
    def reuse_port = option(:SOCKET, true, :REUSEPORT)

    private

    def option(level, value, name)
      setsockopt(level, name, value)
      self
    end
  end

  # TCP and TLS connections and servers in one call. The options of both:
  #
  # - `secure: true`: TLS; a client checks the server's certificate against the system's, and its name
  # - `secure_context: context`: TLS with an `OpenSSL::SSL::SSLContext` of one's own
  # - `alpn_protocols: ["h2", …]`: see {Net.setup_alpn}
  module Net
    class << self
      # @param host [String]
      # @param port [Integer]
      # @param options [Hash] see {Net}
      # @return [TCPSocket, OpenSSL::SSL::SSLSocket]
      def tcp_connect(host, port, options = {})
        socket = TCPSocket.new(host, port)
        secure?(options) ? connect_tls(socket, host, options) : socket
      end

      # @param host [String, nil] nil: all addresses
      # @param port [Integer] 0: any
      # @param options [Hash] see {Net}; also `reuse_addr`, `reuse_port` and `dont_linger`, and
      #   `backlog`, how many connections may wait
      # @return [TCPServer, OpenSSL::SSL::SSLServer]
      def tcp_listen(host = nil, port = nil, options = {})
        raise ArgumentError, "no port given" unless port

        server = listen(host, port, options)
        secure?(options) ? OpenSSL::SSL::SSLServer.new(server, context_for(options)) : server
      end

      # Offers protocols to a client or server; the server takes its first one that the client knows.
      # @param context [OpenSSL::SSL::SSLContext]
      # @param protocols [Array<String>] the favourite first
      # @return [void]
      def setup_alpn(context, protocols)
        context.alpn_protocols = protocols
        context.alpn_select_cb = ->(offered) { (protocols & offered).first }
      end

      private

      def secure?(options)
        return false unless options[:secure] || options[:secure_context]

        require "openssl"
        true
      end

      # Options that must be set before the socket gets its address.
      def listen(host, port, options)
        address = Addrinfo.tcp(host || "0.0.0.0", port)
        socket = Socket.new(address.afamily, :STREAM)
        %i[reuse_addr reuse_port dont_linger].each { |name| socket.public_send(name) if options[name] }
        socket.bind(address)
        socket.listen(options[:backlog] || Socket::SOMAXCONN)
        TCPServer.for_fd(socket.fileno).tap { socket.autoclose = false }
      rescue StandardError
        socket&.close
        raise
      end

      def connect_tls(socket, host, options)
        tls = OpenSSL::SSL::SSLSocket.new(socket, context_for(options, &:set_params))
        tls.sync_close = true
        tls.hostname = host
        in_sight { tls.connect }
        tls.post_connection_check(host) unless options[:secure_context]
        tls
      rescue Exception # rubocop:disable Lint/RescueException -- interrupted, it leaves no socket behind
        socket.close
        raise
      end

      def context_for(options)
        context = options[:secure_context] || OpenSSL::SSL::SSLContext.new
        yield context if block_given? && !options[:secure_context]
        protocols = options[:alpn_protocols]
        # One that was used before is frozen.
        setup_alpn(context, protocols) if protocols && context.alpn_protocols != protocols
        context
      end

      # The handshake waits as the root fiber may not.
      def in_sight(&) = RootFiber.applies? ? RootFiber.run(&) : yield
    end
  end
end

# Sockets have {Polyphony::SocketOptions}.
class BasicSocket
  include Polyphony::SocketOptions
end
