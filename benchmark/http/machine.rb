# frozen_string_literal: true

# Answers every request with the same few bytes, by UM::IO: accept_each, and a fiber for each
# connection. The head of each request is read into a Hash.

require "uringmachine"
require_relative "../echo/common"

BODY = "Hello, world!\n"
HEADERS = { "Content-Type" => "text/plain" }.freeze

def serve(machine, fd)
  io = machine.io(fd, :socket)
  io.http_write_response(200, HEADERS, BODY) while io.http_read_request_headers
rescue SystemCallError, UM::Error
  # The client is gone.
ensure
  machine.close(fd)
end

machine = UM.new
server = Echo.listen

machine.spin do
  machine.accept_each(server.fileno) { |fd| machine.spin { serve(machine, fd) } }
end

machine.read($stdin.fileno, +"", 1)
exit!(0)
