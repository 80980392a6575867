# frozen_string_literal: true

# An HTTP server that takes its time: each answer comes after 100 ms and names the path that was
# asked for. Stock TCPServer and IO on the fiber scheduler. Ends with its stdin, then prints how
# many requests it has served and how many were open at once.

require "json"
require "socket"
require "uringmachine"
require "uringmachine/fiber_scheduler"

Process.setrlimit(Process::RLIMIT_NOFILE, Process.getrlimit(Process::RLIMIT_NOFILE).last)
Process.setrlimit(Process::RLIMIT_CPU, 60)

# Serves clients, a fiber for each.
class SlowServer
  DELAY = 0.1

  attr_reader :requests, :most_at_once

  def initialize
    @requests = @open = @most_at_once = 0
  end

  def serve(client)
    path = client.gets.to_s.split[1]
    nil until client.gets.to_s.chomp.empty?
    @open += 1
    @most_at_once = [@most_at_once, @open].max
    sleep DELAY
    body = "you asked for #{path}\n"
    client.write("HTTP/1.1 200 OK\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}")
    @requests += 1
    @open -= 1
  rescue SystemCallError
    # The client is gone: its request isn't counted.
  ensure
    client.close
  end
end

Fiber.set_scheduler(UM::FiberScheduler.new)
slow = SlowServer.new
server = TCPServer.new("127.0.0.1", 0)
server.listen(4096)
puts JSON.generate(port: server.addr[1])
$stdout.flush

Fiber.schedule do
  loop do
    client = server.accept
    Fiber.schedule { slow.serve(client) }
  end
end

Fiber.schedule do
  $stdin.read(1)
  puts JSON.generate(requests: slow.requests, most_at_once: slow.most_at_once)
  $stdout.flush
  exit!(0)
end
