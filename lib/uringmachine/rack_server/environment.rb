# frozen_string_literal: true

require "ipaddr"

class UringMachine
  class RackServer
    # Makes the environments of a connection's requests.
    # @private
    class Environment
      # What is called otherwise than `HTTP_` and its name.
      NAMES = {
        ":method" => "REQUEST_METHOD", ":path" => "REQUEST_URI", ":protocol" => "SERVER_PROTOCOL",
        "content-length" => "CONTENT_LENGTH", "content-type" => "CONTENT_TYPE"
      }.freeze
      # Names that are remembered. Clients may invent any number of them.
      MOST_NAMES = 1024

      # Keys of environments, by the names of headers. The key of a name with an underscore would
      # be that of another name with a dash, which a proxy may have taken care of: it has none.
      KEYS = Hash.new do |keys, name|
        key = name.include?("_") ? nil : "HTTP_#{name.upcase.tr("-", "_")}".freeze
        keys[name] = key if keys.size < MOST_NAMES
        key
      end.merge!(NAMES)

      # `http://host/path?query`
      ABSOLUTE = %r{\A[a-z][a-z0-9+.-]*://([^/?#]*)([^?]*)(?:\?(.*))?\z}mi
      # Host and port, the host of IPv6 in brackets.
      AUTHORITY = /\A(\[[^\]]*\]|[^:]*)(?::(\d+))?\z/

      def initialize(connection, hijack)
        server = connection.server
        @default_host = server.host.include?(":") ? "[#{server.host}]" : server.host
        @default_port = server.port.to_s.freeze
        @base = {
          "SCRIPT_NAME" => "", "QUERY_STRING" => "", "REMOTE_ADDR" => address(connection.fd),
          "SERVER_NAME" => @default_host, "SERVER_PORT" => @default_port,
          "SERVER_SOFTWARE" => "polyphony-rs", "rack.url_scheme" => "http",
          "rack.errors" => server.settings.errors, "rack.hijack?" => true, "rack.hijack" => hijack,
          # These are set for each request: a copy has room for them.
          "REQUEST_METHOD" => nil, "REQUEST_URI" => nil, "SERVER_PROTOCOL" => nil, "PATH_INFO" => nil,
          "rack.input" => nil, "rack.response_finished" => nil
        }.freeze
      end

      # @param headers [Hash] as {UringMachine::IO#http_read_request_headers} gives them
      # @param input [Input]
      # @return [Hash]
      def of(headers, input)
        env = @base.dup
        headers.each do |name, value|
          key = KEYS[name] or next
          # The bytes as they came, as they may be in any encoding.
          env[key] = value.ascii_only? ? value : value.b
        end
        env["rack.input"] = input
        env["rack.response_finished"] = []
        add_target(env, env["REQUEST_URI"])
        host = env["HTTP_HOST"]
        add_server(env, host) if host
        upgrade = env["HTTP_UPGRADE"]
        env["rack.protocol"] = upgrade.split(/\s*,\s*/) if upgrade
        env
      end

      private

      def address(fd)
        socket = ::Socket.for_fd(fd)
        socket.autoclose = false
        # (Addrinfo starts a thread to say it.)
        family, bytes = socket.getpeername.unpack("Sx2a*")
        bytes = family == ::Socket::AF_INET6 ? bytes[4, 16] : bytes[0, 4]
        IPAddr.new_ntoh(bytes).to_s
      end

      def add_target(env, target)
        path, query = target.split("?", 2) if target.include?("?")
        unless target.start_with?("/")
          parts = ABSOLUTE.match(target)
          env["HTTP_HOST"], path, query = parts.captures if parts
          path = "/" if path == ""
        end
        env["PATH_INFO"] = path || target
        env["QUERY_STRING"] = query if query
      end

      # The server's name and port, as the client knows them.
      def add_server(env, host)
        # Requests of a connection are for the same host as a rule.
        take_host(host) unless host == @host
        env["SERVER_NAME"] = @name
        env["SERVER_PORT"] = @port
      end

      def take_host(host)
        name, port = AUTHORITY.match(host)&.captures
        @host = host
        @name = name.nil? || name.empty? ? @default_host : name
        @port = port || (name ? "80" : @default_port)
      end
    end
  end
end
