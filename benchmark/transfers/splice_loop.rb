# frozen_string_literal: true

# A file to a pipe and on to a port (or the null device), in pieces: two IO.splice for each.
#
#   splice_loop.rb PATH CHUNK [PORT]

require "polyphony"
require_relative "cost"

path, chunk, port = ARGV
chunk = Integer(chunk)
file = File.open(path, "rb")
destination = port ? TCPSocket.new("127.0.0.1", Integer(port)) : File.open(File::NULL, "wb")
reader, writer = IO.pipe
report do
  total = 0
  while (held = IO.splice(file, writer, chunk)).positive?
    total += held
    held -= IO.splice(reader, destination, held) while held.positive?
  end
  total
end
