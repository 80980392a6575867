# frozen_string_literal: true

require "socket"
require_relative "../uringmachine"
require_relative "rack_server/connection"

class UringMachine
  # A server for Rack 3 applications, of HTTP/1.0 and HTTP/1.1.
  #
  #   server = UM::RackServer.new(UM::RackServer.load("config.ru"), port: 9292)
  #   trap(:TERM) { server.stop }
  #   server.run
  #
  # One thread runs all of it. Each connection is a fiber of the machine, under a
  # {FiberScheduler}: while an application waits, by the machine's methods or by those of Ruby's
  # core classes, other requests are served. A computation keeps all of them waiting.
  #
  # (It is not called `UM::Rack`, which would be in the way of `Rack` inside of `UringMachine`.)
  class RackServer
    # Seconds after which a failed accept is tried again.
    RETRY_SECONDS = 0.1
    # What accept may fail with while the server is full.
    FULL = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM].freeze
    private_constant :RETRY_SECONDS, :FULL

    # What a server is told.
    # - `timeout`: seconds that a client has for a head, for each part of a body, and for taking
    #   what it is sent
    # - `grace`: seconds that requests have to end once the server is stopped
    # - `max_head`, `max_headers`: bytes of a head, and headers in it; nil: as many as
    #   {UringMachine::IO#http_read_request_headers} allows
    # - `max_body`: bytes of a body; nil: any number, as nothing but what the application asks for
    #   is read into memory
    # - `errors`: where applications' errors go, `rack.errors`
    Settings = Data.define(:timeout, :grace, :max_head, :max_headers, :max_body, :errors) do
      def initialize(timeout: 60, grace: 10, max_head: nil, max_headers: nil, max_body: nil, errors: $stderr)
        super
      end
    end

    # The application of a config.ru. This is the only place where the rack gem is needed.
    # @param path [String]
    # @return [#call]
    def self.load(path)
      require "rack"
      app = ::Rack::Builder.parse_file(path)
      app.is_a?(Array) ? app.first : app # Rack 2 gives options as well
    end

    # @return [#call]
    attr_reader :app
    # @return [UringMachine]
    attr_reader :machine
    # @return [Settings]
    attr_reader :settings
    # @return [String] where it listens
    attr_reader :host
    # @return [Integer] where it listens
    attr_reader :port

    # Listens. Nothing is accepted before {#run}, which has to be called by the same thread.
    # @param app [#call]
    # @param host [String]
    # @param port [Integer] 0: any that is free
    # @param settings [Hash] see {Settings}
    def initialize(app, host: "127.0.0.1", port: 9292, **settings)
      @app = app
      @host = host
      @settings = Settings.new(**settings)
      @machine = UM.new
      @stops = Queue.new
      @connections = {}.compare_by_identity
      @stopping = false
      listen(port)
    end

    # Serves until it is stopped.
    # @return [void]
    def run
      Fiber.set_scheduler(FiberScheduler.new(@machine))
      acceptor = @machine.spin { accept }
      @machine.shift(@stops)
      finish(acceptor)
    ensure
      close
    end

    # Ends {#run}: nothing more is accepted, and requests that are being served have a time of grace.
    # From any thread, and from trap handlers.
    # @return [void]
    def stop
      @machine.push(@stops, true)
    end

    # Whether connections should be closed after the request that is being served.
    def stopping?
      @stopping
    end

    # Says what went wrong where nobody else can.
    # @private
    def report(error)
      @settings.errors.puts(error.full_message(highlight: false))
      @settings.errors.flush
    end

    private

    def listen(port)
      @listener = @machine.tcp_listen(@host, port)
      socket = ::Socket.for_fd(@listener)
      socket.autoclose = false
      @port = socket.local_address.ip_port
      # Connections take these over.
      @machine.setsockopt(@listener, IPPROTO_TCP, TCP_NODELAY, true)
      @machine.setsockopt(@listener, IPPROTO_TCP, TCP_USER_TIMEOUT, (@settings.timeout * 1000).to_i)
    end

    def accept
      @machine.accept_each(@listener) { |fd| connect(fd) }
    rescue *FULL => e
      report(e)
      @machine.sleep(RETRY_SECONDS)
      retry
    end

    def connect(fd)
      connection = Connection.new(self, fd)
      @connections[connection] = @machine.spin do
        connection.run
      ensure
        @connections.delete(connection)
      end
    end

    def finish(acceptor)
      @stopping = true
      @machine.terminate(acceptor)
      close_listener
      @connections.each { |connection, fiber| connection.stop(fiber) }
      @machine.timeout(@settings.grace, Late) { @machine.await(@connections.values) }
    rescue Late
      nil # they are terminated, as what else is left
    end

    # The end of all fibers and of the scheduler that they run in.
    def close
      @machine.terminate(@machine.fiber_set.to_a)
      Fiber.set_scheduler(nil)
    ensure
      close_listener
    end

    # Its port is free then, and new clients are refused.
    def close_listener
      @machine.close(@listener) if @listener
      @listener = nil
    end

    # Time is up.
    class Late < StandardError; end
    private_constant :Late
  end
end
