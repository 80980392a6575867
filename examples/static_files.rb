# frozen_string_literal: true

# An HTTP server for the files of a folder. It sends each in chunks, so that nobody has to know how
# long it will be, in two ways: choose one by its name, strings or splice.
#
#   bin/ruby examples/static_files.rb 8080 . splice
#   curl http://127.0.0.1:8080/README.md

require "polyphony"

MAX_CHUNK = 64 * 1024

WAYS = {
  # Each chunk is a String. The empty one is the end.
  "strings" => lambda do |file, socket|
    loop do
      chunk = file.read(MAX_CHUNK).to_s
      socket << "#{chunk.bytesize.to_s(16)}\r\n#{chunk}\r\n"
      break if chunk.empty?
    end
  end,

  # Each chunk goes into a pipe: then its size is known, and it goes on to the socket.
  "splice" => lambda do |file, socket|
    pipe = Polyphony.pipe
    while (size = IO.splice(file, pipe, MAX_CHUNK)).positive?
      socket << "#{size.to_s(16)}\r\n"
      size -= IO.splice(pipe, socket, size) while size.positive?
      socket << "\r\n"
    end
    socket << "0\r\n\r\n"
  end
}.freeze

# Answers one request.
class Answer
  def initialize(socket, folder, send_chunks)
    @socket = socket
    @folder = File.realpath(folder)
    @send_chunks = send_chunks
  end

  def call
    verb, target = @socket.gets.to_s.split
    nil until @socket.gets.to_s.chomp.empty? # the headers
    return head("405 Method Not Allowed") unless verb == "GET"

    path = inside(target)
    path ? respond_with(path) : head("404 Not Found")
  end

  private

  # The file's path, where it is in the folder.
  def inside(target)
    path = File.realpath(File.join(@folder, target.to_s))
    path if File.file?(path) && path.start_with?("#{@folder}/")
  rescue SystemCallError
    nil
  end

  def respond_with(path)
    File.open(path, "rb") do |file|
      head("200 OK", "Transfer-Encoding: chunked\r\n")
      @send_chunks.call(file, @socket)
    end
  end

  def head(status, more = "Content-Length: 0\r\n")
    @socket << "HTTP/1.1 #{status}\r\n#{more}Connection: close\r\n\r\n"
  end
end

port, folder, way = ARGV
send_chunks = WAYS[way || "splice"]
abort "usage: static_files.rb PORT FOLDER [#{WAYS.keys.join("|")}]" unless folder && send_chunks

server = TCPServer.new("127.0.0.1", Integer(port))
puts "serving #{folder} on port #{server.local_address.ip_port}"
$stdout.flush

server.accept_loop do |client|
  spin do
    Answer.new(client, folder, send_chunks).call
  rescue SystemCallError => e
    warn "a client is gone: #{e.message}"
  ensure
    client.close
  end
end
