# frozen_string_literal: true

# TCP echo through the fiber scheduler: stock TCPServer#accept, readpartial and write.

require "uringmachine"
require "uringmachine/fiber_scheduler"
require_relative "stock"

Fiber.set_scheduler(UM::FiberScheduler.new)
server = Echo.listen

Fiber.schedule do
  loop do
    client = server.accept
    Fiber.schedule { Stock.echo(client) }
  end
end

Fiber.schedule do
  $stdin.read(1)
  exit!(0)
end
