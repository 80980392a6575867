# frozen_string_literal: true

# The programs of the text on buffer management, as they are printed there, with what the text
# leaves out around them: constants, two parsers, and a server that uses them.
module Seed003
  HTTP_SERVER = <<~'RUBY'
    require "uringmachine"

    class UM::IO
      MAX_REQUEST_LINE_LEN = 8192
      MAX_HEADER_LINE_LEN = 8192

      def http_read_request_headers
        line = read_line(MAX_REQUEST_LINE_LEN)
        headers = parse_request_line(line)
        return nil if !headers

        loop do
          line = read_line(MAX_HEADER_LINE_LEN)
          k, v = parse_header_line(line)
          break if !k

          headers[k] = v
        end
        headers
      end

      def http_read_body(headers)
        content_length = headers["content-length"]
        if content_length
          content_length = content_length.to_i
          return nil if content_length == 0

          chunk = read(content_length)
          return chunk
        end
        nil
      end

      def parse_request_line(line)
        m = line&.match(%r{\A(\S+) (\S+) (HTTP/1\.[01])\z}) or return nil
        { ":method" => m[1], ":path" => m[2], ":protocol" => m[3] }
      end

      def parse_header_line(line)
        m = line&.match(/\A([^:]+):\s*(.*)\z/) or return nil
        [m[1].downcase, m[2]]
      end
    end

    def handle_request(io, headers, body)
      answer = "#{headers[":method"]} #{headers[":path"]} #{body.inspect}\n"
      io.write("HTTP/1.1 200 OK\r\nContent-Length: #{answer.bytesize}\r\n\r\n", answer)
    end

    def handle_http_client(fd)
      io = @machine.io(fd)

      while true
        headers = io.http_read_request_headers
        break if !headers

        body = io.http_read_body(headers)
        handle_request(io, headers, body)
      end
    ensure
      @machine.close(fd)
    end

    @machine = UM.new
    server = @machine.tcp_listen("127.0.0.1", 1234)
    @machine.accept_each(server) { |fd| @machine.spin { handle_http_client(fd) } }
  RUBY

  REDIS = <<~'RUBY'
    require "uringmachine"

    machine = UM.new
    fd = machine.tcp_connect("127.0.0.1", 6379)
    io = machine.io(fd)
    # client handshake
    io.write("HELLO 3\r\n")
    res = io.resp_read

    # issue command
    io.resp_write(["set", "foo", "bar"])
    io.resp_read
    io.resp_write(["get", "foo"])
    value = io.resp_read
    puts "#{res["proto"]} #{value}"
  RUBY

  STREAM = <<~'RUBY'
    require "uringmachine"

    machine = UM.new
    fd, writer = UM.pipe
    machine.spin do
      machine.write(writer, "a line\r\n" + "x" * 42 + "more|some\nskipped, rest")
      machine.close(writer)
    end

    # instantiate an IO
    stream = UM::IO.new(machine, fd)
    p stream.read_line
    p stream.read(42).size

    # or:
    io = stream
    p io.read_to_delim("|", 10)
    p io.read_line(10)
    p io.skip(9)
    io.read_each { |segment| p segment.get_string }
    io.clear
  RUBY
end
