# frozen_string_literal: true

# An HTTP server that compresses whatever file it is asked for on its way. One fiber compresses
# into a pipe; another one moves what comes out to the client, in chunks, within the kernel.
#
#   bin/ruby examples/gzip_http_server.rb 1234 .
#   curl --compressed http://127.0.0.1:1234/README.md

require "polyphony"

CHUNK = 64 * 1024
HEAD = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n" \
       "Connection: close\r\n\r\n"

# The file that a request is for, if it is one of ours.
def requested(folder, client)
  path = client.gets("\r\n", 8192)&.slice(%r{\AGET /([\w./-]+) HTTP/1\.1\r\n\z}, 1)
  nil until [nil, "\r\n"].include?(client.gets("\r\n", 8192))
  return unless path

  path = File.expand_path(path, folder)
  path if path.start_with?("#{folder}/") && File.file?(path)
end

def send_compressed(path, client)
  client << HEAD
  File.open(path, "rb") do |file|
    compressed = Polyphony.pipe
    spin do
      IO.gzip(file, compressed, orig_name: File.basename(path), mtime: file.mtime)
    ensure
      compressed.close
    end
    IO.http1_splice_chunked(compressed, client, CHUNK)
  end
end

def serve(client, folder)
  if (path = requested(folder, client))
    send_compressed(path, client)
  else
    client << "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
  end
rescue SystemCallError => e
  warn "a client is gone: #{e.message}"
ensure
  client.close
end

port, folder = ARGV
abort "usage: gzip_http_server.rb PORT FOLDER" unless folder

folder = File.expand_path(folder)
server = TCPServer.new("127.0.0.1", Integer(port))
puts "compressing #{folder} on port #{server.local_address.ip_port}"
$stdout.flush

server.accept_loop { |client| spin { serve(client, folder) } }
