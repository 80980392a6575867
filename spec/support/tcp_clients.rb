# frozen_string_literal: true

require "open3"
require "socket"

module SpecSupport
  # Clients of the servers that specs start, and a server for proxies to talk to. All of it is
  # plain Ruby, in threads of this process.
  module TCPClients
    HOST = "127.0.0.1"
    LARGE = 5 * 1024 * 1024

    # Whether somebody listens.
    def listening?(port)
      TCPSocket.new(HOST, port).close
      true
    rescue Errno::ECONNREFUSED
      false
    end

    # Sends, half-closes, and reads as many bytes as it has sent.
    def echo(port, data)
      TCPSocket.open(HOST, port) do |socket|
        writer = Thread.new do
          socket.write(data)
          socket.close_write
        end
        answer = socket.read(data.bytesize)
        writer.join
        answer
      end
    end

    # Several clients at once, each with data of its own; the answers that were wrong.
    def wrong_echoes(port, clients:, bytes:)
      threads = Array.new(clients) do |index|
        Thread.new do
          data = random_bytes(bytes, index)
          index unless echo(port, data) == data
        end
      end
      threads.filter_map(&:value)
    end

    # What netcat prints for a line. It half-closes after its input (-N); where the server leaves
    # the connection open it ends after a second of silence.
    def netcat(port, line)
      output, = Open3.capture2("nc", "-N", "-w", "1", HOST, port.to_s, stdin_data: line)
      output
    end

    # Sends something and cuts the connection: the server gets a reset.
    def cut_connection(port)
      socket = TCPSocket.new(HOST, port)
      socket.write("to be lost")
      reset(socket)
    end

    def reset(socket)
      socket.setsockopt(Socket::Option.linger(true, 0))
      socket.close
    end

    def random_bytes(count, seed) = Random.new(seed).bytes(count)

    # Starts a server that gives each connection to the block, in a thread; yields its port.
    def with_server(handler)
      server = TCPServer.new(HOST, 0)
      thread = Thread.new { accept_all(server, handler) }
      yield server.local_address.ip_port
    ensure
      server&.close
      thread&.join
    end

    # Reads up to the client's half-close, then sends a large answer.
    def large_answer(socket)
      request = socket.read
      socket.write(request, random_bytes(LARGE, request.bytesize))
    end

    private

    def accept_all(server, handler)
      connections = []
      loop { connections << Thread.new(server.accept) { |socket| serve_one(socket, handler) } }
    rescue IOError, Errno::EBADF
      connections.each(&:join) # the server was closed
    end

    def serve_one(socket, handler)
      handler.call(socket)
    rescue Errno::ECONNRESET, Errno::EPIPE
      nil # a client that cut its connection
    ensure
      socket.close
    end
  end
end
