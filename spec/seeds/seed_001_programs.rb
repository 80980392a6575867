# frozen_string_literal: true

# The programs of the text on pipes and splicing, as printed there. The text shows methods and,
# once for the echo servers and once for the proxies, the program around them; the others are put
# into the same frame here.
module Seed001
  # Printed around the first echo server.
  ECHO_LOOP = <<~'RUBY'
    server = TCPServer.open('127.0.0.1', 1234)
    puts 'Echoing on port 1234...'
    while (conn = server.accept)
      handle_client(conn)
    end
  RUBY

  # Printed around the first proxy.
  PROXY_HEAD = <<~'RUBY'
    require 'polyphony'

    DESTINATION = ['127.0.0.1', 1234]
  RUBY

  PROXY_LOOP = <<~'RUBY'
    puts "Serving TCP proxy on port 4321..."
    TCPServer.new('127.0.0.1', 4321).accept_loop { |c| handle_client(c) }
  RUBY

  # The frame of the echo servers, for a proxy.
  PROXY_WHILE = <<~'RUBY'
    server = TCPServer.open('127.0.0.1', 4321)
    while (conn = server.accept)
      handle_client(conn)
    end
  RUBY

  MOVE_DATA_BETWEEN_IOS = <<~'RUBY'
    def move_data_between_ios(source, target)
      r, w = IO.pipe
      f1 = spin do
        IO.splice(source, w, -8192)
        w.close
      end
      f2 = spin do
        IO.splice(r, target, -8192)
      end
      Fiber.await(f1, f2)
    end
  RUBY

  # Two uses of it, which the text leaves to the reader.
  MOVE_FILE = <<~RUBY.freeze
    require 'polyphony'
    #{MOVE_DATA_BETWEEN_IOS}
    moved = move_data_between_ios(File.open(ARGV[0]), File.open(ARGV[1], 'w'))
    p moved
  RUBY

  MOVE_SERVER = <<~RUBY.freeze
    require 'polyphony'
    #{MOVE_DATA_BETWEEN_IOS}
    def handle_client(conn)
      spin do
        move_data_between_ios(conn, conn)
        conn.close
      end
    end

    #{ECHO_LOOP}
  RUBY

  ECHO_READ_WRITE = <<~RUBY.freeze
    require 'polyphony'

    def handle_client(conn)
      spin do
        while (data = conn.read(8192))
          conn.write(data)
        end
      end
    end

    #{ECHO_LOOP}
  RUBY

  ECHO_SPLICE = <<~RUBY.freeze
    require 'polyphony'

    def handle_client(conn)
      spin do
        r, w = IO.pipe
        spin do
          IO.splice(conn, w, -8192)
          w.close
        end
        IO.splice(r, conn, -8192)
      end
    end

    #{ECHO_LOOP}
  RUBY

  ECHO_PIPE = <<~RUBY.freeze
    require 'polyphony'

    def handle_client(conn)
      spin do
        pipe = Polyphony.pipe
        spin do
          IO.splice(conn, pipe, -8192)
          pipe.close
        end
        IO.splice(pipe, conn, -8192)
      end
    end

    #{ECHO_LOOP}
  RUBY

  ECHO_DOUBLE_SPLICE = <<~RUBY.freeze
    require 'polyphony'

    def handle_client(conn)
      spin do
        IO.double_splice(conn, conn, -8192)
      end
    end

    #{ECHO_LOOP}
  RUBY

  HANDLE_WITH_IO_PIPE = <<~'RUBY'
    def handle_client(conn)
      spin do
        dest = TCPSocket.new(*DESTINATION)

        r1, w1 = IO.pipe
        spin { IO.splice(conn, w1, -8192); w1.close }
        spin { IO.splice(r1, dest, -8192) }

        r2, w2 = IO.pipe
        spin { IO.splice(dest, w2, -8192); w2.close }
        IO.splice(r2, conn, -8192)
      rescue Errno::ECONNRESET
        # ignore
      ensure
        dest.close rescue nil
      end
    end
  RUBY

  HANDLE_WITH_POLYPHONY_PIPE = <<~'RUBY'
    def handle_client(conn)
      spin do
        dest = TCPSocket.new(*DESTINATION)

        client_to_dest = Polyphony.pipe
        spin { IO.splice(conn, client_to_dest, -8192); client_to_dest.close }
        spin { IO.splice(client_to_dest, dest, -8192) }

        dest_to_client = Polyphony.pipe
        spin { IO.splice(dest, dest_to_client, -8192); dest_to_client.close }
        IO.splice(dest_to_client, conn, -8192)
      rescue Errno::ECONNRESET
        # ignore
      ensure
        dest.close rescue nil
      end
    end
  RUBY

  HANDLE_WITH_DOUBLE_SPLICE = <<~'RUBY'
    def handle_client(conn)
      spin do
        dest = TCPSocket.new(*DESTINATION)

        spin { IO.double_splice(conn, dest, -8192) }
        IO.double_splice(dest, conn, -8192)
      rescue Errno::ECONNRESET
        # ignore
      ensure
        conn.close rescue nil
        dest.close rescue nil
      end
    end
  RUBY

  # Not in the text: its last proxy in one call.
  HANDLE_WITH_PROXY = <<~'RUBY'
    def handle_client(conn)
      spin do
        dest = TCPSocket.new(*DESTINATION)
        Polyphony.proxy(conn, dest)
      rescue Errno::ECONNRESET
        # ignore
      ensure
        conn.close rescue nil
        dest.close rescue nil
      end
    end
  RUBY

  GZIP = <<~'RUBY'
    require 'polyphony'

    IO.gzip(STDIN, STDOUT)
  RUBY

  GUNZIP = <<~'RUBY'
    require 'polyphony'

    IO.gunzip(STDIN, STDOUT)
  RUBY

  # The chunk's length is hexadecimal, as the text says, a short splice is followed by another one,
  # and the names that it leaves to the reader are there.
  STATIC_FILE_GZIPPED = <<~'RUBY'
    require 'polyphony'

    MAX_CHUNK = 1 << 16

    def chunked_transfer(src, dest)
      pipe = Polyphony.pipe
      while true
        len = IO.splice(src, pipe, MAX_CHUNK)
        break if len == 0

        dest << "#{len.to_s(16)}\r\n"
        len -= IO.splice(pipe, dest, len) while len > 0
        dest << "\r\n"
      end
      dest << "0\r\n\r\n"
    end

    def format_headers(headers)
      headers = { 'Transfer-Encoding' => 'chunked', 'Connection' => 'close' }.merge(headers)
      "HTTP/1.1 200 OK\r\n#{headers.map { |k, v| "#{k}: #{v}\r\n" }.join}\r\n"
    end

    def respond_from_io(conn, headers, io)
      conn << format_headers(headers)
      chunked_transfer(io, conn)
    end

    def respond_from_io_gzipped(conn, headers, io)
      gzipped = Polyphony.pipe
      spin { IO.gzip(io, gzipped); gzipped.close }
      respond_from_io(conn, headers, gzipped)
    end

    server = TCPServer.new('127.0.0.1', 1234)
    server.accept_loop do |conn|
      spin do
        conn.gets("\r\n\r\n")
        File.open('FILE', 'r') { |f| respond_from_io_gzipped(conn, { 'Content-Encoding' => 'gzip' }, f) }
      ensure
        conn.close
      end
    end
  RUBY

  ECHO_SERVERS = {
    "with read and write" => ECHO_READ_WRITE,
    "with splice and IO.pipe" => ECHO_SPLICE,
    "with splice and Polyphony.pipe" => ECHO_PIPE,
    "with double_splice" => ECHO_DOUBLE_SPLICE,
    "with move_data_between_ios" => MOVE_SERVER
  }.freeze

  # Those of the text never close the connection to the destination before its answer has ended,
  # and of them only the last one passes the client's half-close on.
  PROXY_HANDLERS = {
    "with IO.pipe" => HANDLE_WITH_IO_PIPE,
    "with Polyphony.pipe" => HANDLE_WITH_POLYPHONY_PIPE,
    "with double_splice" => HANDLE_WITH_DOUBLE_SPLICE,
    "with Polyphony.proxy" => HANDLE_WITH_PROXY
  }.freeze

  # Those that pass the client's half-close on.
  FULL_PROXIES = ["with double_splice", "with Polyphony.proxy"].freeze

  def self.proxy(name, accepting = PROXY_LOOP)
    [PROXY_HEAD, PROXY_HANDLERS.fetch(name), accepting].join("\n")
  end
end
