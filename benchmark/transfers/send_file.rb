# frozen_string_literal: true

# Sends a file to a port; with a size in chunks of HTTP's coding.
#
#   send_file.rb PORT PATH [CHUNK]

require "polyphony"
require_relative "cost"

port, path, chunk = ARGV
socket = TCPSocket.new("127.0.0.1", Integer(port))
File.open(path, "rb") do |file|
  report do
    chunk ? IO.http1_splice_chunked(file, socket, Integer(chunk)) : IO.double_splice(file, socket)
  end
end
