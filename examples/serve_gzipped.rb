# frozen_string_literal: true

# Sends a file to whoever connects, compressed by Ruby's own zlib, in two ways. Choose one by its
# name: string or writer.
#
#   bin/ruby examples/serve_gzipped.rb 1234 README.md writer
#   nc 127.0.0.1 1234 </dev/null | gunzip | diff - README.md && echo the same

require "polyphony"
require "zlib"

CHUNK = 16 * 1024

WAYS = {
  # All of the file in memory, and once more compressed.
  "string" => ->(file, socket) { socket << Zlib.gzip(file.read) },

  # A piece at a time.
  "writer" => lambda do |file, socket|
    gzip = Zlib::GzipWriter.new(socket)
    while (data = file.read(CHUNK))
      gzip << data
    end
    gzip.finish
  end
}.freeze

port, path, way = ARGV
send_file = WAYS[way || "writer"]
abort "usage: serve_gzipped.rb PORT FILE [#{WAYS.keys.join("|")}]" unless path && send_file

server = TCPServer.new("127.0.0.1", Integer(port))
puts "sending #{path} on port #{server.local_address.ip_port}"
$stdout.flush

server.accept_loop do |client|
  spin do
    File.open(path, "rb") { |file| send_file.call(file, client) }
  rescue SystemCallError => e
    warn "a client is gone: #{e.message}"
  ensure
    client.close
  end
end
