# frozen_string_literal: true

# A small HTTP server: a fiber for each connection, which reads a request and answers it, one after
# the other, for as long as the client likes.
#
#   bin/ruby examples/http_server.rb 8080
#   curl -i localhost:8080/                          # hello
#   curl -i --data-binary @README.md localhost:8080/echo    # what was sent
#   curl -iN localhost:8080/count                    # a line every now and then
#
# Ends with ctrl-C.

require "socket"
require "timeout"
require "uringmachine"

TEXT = { "Content-Type" => "text/plain; charset=utf-8" }.freeze
# Seconds that a client may take for a request, or be idle between two.
PATIENCE = 30

# Routes: each gets the connection and the head of the request.
ROUTES = {
  ["GET", "/"] => ->(_, io, _) { io.http_write_response(200, TEXT, "hello\n") },

  ["POST", "/echo"] => lambda do |_, io, head|
    io.http_write_response(200, { "Content-Type" => head["content-type"] }, io.http_read_body(head))
  end,

  ["GET", "/count"] => lambda do |machine, io, _|
    io.http_write_head(200, TEXT)
    1.upto(5) do |number|
      io.http_write_chunk("#{number}\n")
      machine.sleep(0.1)
    end
    io.http_finish
  end
}.freeze
NOT_FOUND = ->(_, io, head) { io.http_write_response(404, TEXT, "there is no #{head[":path"]}\n") }

def serve(machine, connection)
  machine.setsockopt(connection, UM::IPPROTO_TCP, UM::TCP_NODELAY, true)
  io = machine.io(connection, :socket)
  while (head = machine.timeout(PATIENCE, Timeout::Error) { io.http_read_request_headers })
    method = head[":method"] == "HEAD" ? "GET" : head[":method"]
    ROUTES.fetch([method, head[":path"][/[^?]*/]], NOT_FOUND).call(machine, io, head)
  end
rescue UM::IO::HTTPError => e
  io.http_write_refusal(e)
rescue Timeout::Error, SystemCallError
  nil # the client is too slow, or gone
ensure
  machine.close(connection)
end

machine = UM.new
server = TCPServer.new("127.0.0.1", Integer(ARGV.fetch(0, 8080)))
puts "serving on port #{server.local_address.ip_port}"
$stdout.flush

begin
  machine.accept_each(server.fileno) { |connection| machine.spin { serve(machine, connection) } }
rescue Interrupt
  puts "#{machine.metrics[:total_ops]} operations"
end
