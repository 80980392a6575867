# frozen_string_literal: true

# Sends a file to whoever connects, in three ways that all leave the data in the kernel. Choose
# one by its name: loop, fibers or double_splice.
#
#   bin/ruby examples/send_file.rb 1234 README.md double_splice
#   nc 127.0.0.1 1234 </dev/null | diff - README.md && echo the same

require "polyphony"

CHUNK = 16 * 1024

WAYS = {
  # One move after the other: from the file into a pipe, and on to the socket.
  "loop" => lambda do |file, socket|
    pipe = Polyphony.pipe
    while (waiting = IO.splice(file, pipe, CHUNK)).positive?
      waiting -= IO.splice(pipe, socket, waiting) while waiting.positive?
    end
  end,

  # Two fibers: one fills the pipe while the other empties it.
  "fibers" => lambda do |file, socket|
    pipe = Polyphony.pipe
    spin do
      IO.splice(file, pipe, -CHUNK)
      pipe.close
    end
    IO.splice(pipe, socket, -CHUNK)
  end,

  # The same in one call, with a pipe of its own.
  "double_splice" => ->(file, socket) { IO.double_splice(file, socket) }
}.freeze

port, path, way = ARGV
send_file = WAYS[way || "double_splice"]
abort "usage: send_file.rb PORT FILE [#{WAYS.keys.join("|")}]" unless path && send_file

server = TCPServer.new("127.0.0.1", Integer(port))
puts "sending #{path} on port #{server.local_address.ip_port}"
$stdout.flush

server.accept_loop do |client|
  spin do
    File.open(path) { |file| send_file.call(file, client) }
  rescue SystemCallError => e
    warn "a client is gone: #{e.message}"
  ensure
    client.close
  end
end
