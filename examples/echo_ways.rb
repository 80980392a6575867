# frozen_string_literal: true

# An echo server in four ways, from a String for each piece of data to none at all. Choose one by
# its name: read_write, pipe_ends, pipe or double_splice.
#
#   bin/ruby examples/echo_ways.rb 1234 pipe
#   echo hello | nc -N 127.0.0.1 1234
#
# Ends with ctrl-C.

require "polyphony"

CHUNK = 8192

WAYS = {
  # Every piece becomes a String. `read` waits for a whole piece, or for the client's end.
  "read_write" => lambda do |client|
    while (data = client.read(CHUNK))
      client.write(data)
    end
  end,

  # The data stays in the kernel: into a pipe, and out of it again.
  "pipe_ends" => lambda do |client|
    reader, writer = IO.pipe
    spin do
      IO.splice(client, writer, -CHUNK)
    ensure
      writer.close
    end
    IO.splice(reader, client, -CHUNK)
  ensure
    reader&.close
  end,

  # The same with a pipe that is one object.
  "pipe" => lambda do |client|
    pipe = Polyphony.pipe
    spin do
      IO.splice(client, pipe, -CHUNK)
    ensure
      pipe.close
    end
    IO.splice(pipe, client, -CHUNK)
  end,

  # And in one call, with a pipe of its own.
  "double_splice" => ->(client) { IO.double_splice(client, client, -CHUNK) }
}.freeze

port, way = ARGV
echo = WAYS[way || "double_splice"]
abort "usage: echo_ways.rb PORT [#{WAYS.keys.join("|")}]" unless port && echo

server = TCPServer.new("127.0.0.1", Integer(port))
puts "echoing on port #{server.local_address.ip_port}"
$stdout.flush

server.accept_loop do |client|
  spin do
    echo.call(client)
  rescue SystemCallError => e
    warn "a client is gone: #{e.message}"
  ensure
    client.close
  end
end
