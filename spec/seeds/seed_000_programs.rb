# frozen_string_literal: true

# The three ways of sending a file in the text on advanced I/O. It has lost some of its words: the
# pipe, `end`s, and one name is spelled in two ways.
module Seed000
  SPLICE_LOOP = <<~'RUBY'
    def send_file_using_splice(src, dest)
      # create a pipe. Polyphony::Pipe encapsulates a kernel pipe in a single
      # IO-like object, but we can also use the stock IO.pipe method call that
      # returns two separate pipe fds.
      pipe = Polyphony::Pipe.new
      loop do
        # splices data from src to the pipe
        bytes_available = IO.splice(src, pipe, 2**14)
        break if bytes_available == 0 # EOF

        # splices data from the pipe to the dest
        while (bytes_available > 0)
          written = IO.splice(pipe, dest, bytes_available)
          bytes_available -= written
        end
      end
    end
  RUBY

  TWO_FIBERS = <<~'RUBY'
    def send_file_using_splice(src, dest)
      pipe = Polyphony::Pipe.new
      spin do
        IO.splice(src, pipe, -2**14)
        # We need to close the pipe in order to signal EOF for the 2nd splice call.
        pipe.close
      end
      IO.splice(pipe, dest, -2**14)
    end
  RUBY

  DOUBLE_SPLICE = <<~'RUBY'
    def send_file_using_splice(src, dest)
      IO.double_splice(src, dest)
    end
  RUBY

  # The server around them, which the text leaves to the reader.
  SERVER = <<~'RUBY'
    def handle_client(conn)
      spin do
        send_file_using_splice(File.open('FILE'), conn)
      ensure
        conn.close
      end
    end

    server = TCPServer.open('127.0.0.1', 1234)
    while (conn = server.accept)
      handle_client(conn)
    end
  RUBY

  ZLIB_GZIP = <<~'RUBY'
    def serve_compressed_file(socket, file)
      # we leave aside sending the HTTP headers and dealing with transfer encoding
      compressed = Zlib.gzip(file.read)
      socket << compressed
    end
  RUBY

  GZIP_WRITER = <<~'RUBY'
    def serve_compressed_file(socket, file)
      # we leave aside sending the HTTP headers and dealing with transfer encoding
      compressor = Zlib::GzipWriter.new(socket)
      while (data = file.read(2**14))
        compressor << data
      end
      compressor.finish
    end
  RUBY

  IO_GZIP = <<~'RUBY'
    def serve_compressed_file(socket, file)
      IO.gzip(file, socket) # and that's it!
    end
  RUBY

  GZIP_CHUNKED = <<~'RUBY'
    MAX_CHUNK_SIZE = 2**16

    def send_compressed_chunked_response_from_io(socket, io)
      pipe = Polyphony.pipe
      spin { IO.gzip(io, pipe); pipe.close }
      IO.http1_splice_chunked(pipe, socket, MAX_CHUNK_SIZE)
    end

    def serve_compressed_file(socket, file)
      socket.gets("\r\n\r\n")
      socket << "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n" \
                "Connection: close\r\n\r\n"
      send_compressed_chunked_response_from_io(socket, file)
    end
  RUBY

  SEND_FILE = { "one splice after the other" => SPLICE_LOOP, "two fibers" => TWO_FIBERS,
                "double_splice" => DOUBLE_SPLICE }.freeze

  GZIP_FILE = { "Zlib.gzip" => ZLIB_GZIP, "Zlib::GzipWriter" => GZIP_WRITER, "IO.gzip" => IO_GZIP }.freeze

  def self.gzip_server(program, path)
    server = SERVER.sub("send_file_using_splice(File.open('FILE'), conn)",
                        "serve_compressed_file(conn, File.open('FILE'))")
    ["require 'polyphony'\nrequire 'zlib'\n", program, server.sub("FILE", path)].join("\n")
  end

  def self.file_server(name, path)
    ["require 'polyphony'\n", SEND_FILE.fetch(name), SERVER.sub("FILE", path)].join("\n")
  end
end
