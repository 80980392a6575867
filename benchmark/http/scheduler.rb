# frozen_string_literal: true

# Answers every request with the same few bytes, by Ruby's own TCPServer and IO under the fiber
# scheduler: a fiber for each connection.

require "uringmachine"
require "uringmachine/fiber_scheduler"
require_relative "../echo/common"

RESPONSE = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n"

def serve(socket)
  while (head = socket.gets("\r\n\r\n"))
    socket.write(RESPONSE)
    break if head.include?("\r\nConnection: close\r\n")
  end
rescue SystemCallError
  # The client is gone.
ensure
  socket.close
end

server = Echo.listen
Fiber.set_scheduler(UM::FiberScheduler.new)

Fiber.schedule do
  loop do
    socket = server.accept
    Fiber.schedule { serve(socket) }
  end
end

Fiber.schedule do
  $stdin.read
  exit!(0)
end
