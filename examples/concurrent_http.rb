# frozen_string_literal: true

# Many requests at once from one thread, by the Net::HTTP that comes with Ruby: the fiber scheduler
# makes each of its waits let the other fibers run.
#
#   bin/ruby examples/concurrent_http.rb http://example.com/ http://example.org/
#
# Without URLs it starts a slow server of its own (each answer takes half a second) and asks it ten
# times.

require "net/http"
require "socket"
require "uringmachine"

# A server for the tour: answers each request after a while.
class SlowServer
  DELAY = 0.5
  REQUESTS = 10

  attr_reader :most_at_once

  def initialize
    @server = TCPServer.new("127.0.0.1", 0)
    @open = @most_at_once = 0
  end

  def urls = Array.new(REQUESTS) { |number| "http://127.0.0.1:#{@server.local_address.ip_port}/#{number}" }

  def run
    REQUESTS.times do
      client = @server.accept
      Fiber.schedule { answer(client) }
    end
  end

  private

  def answer(client)
    path = client.gets.split[1]
    nil until client.gets.chomp.empty?
    @open += 1
    @most_at_once = [@most_at_once, @open].max
    sleep DELAY
    @open -= 1
    body = "this is #{path}\n"
    client.write("HTTP/1.1 200 OK\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n", body)
  ensure
    client.close
  end
end

# Asks for one URL and says what came.
def fetch(url)
  response = Net::HTTP.get_response(URI(url))
  puts "#{url}: #{response.code}, #{response.body.bytesize} bytes"
rescue StandardError => e
  puts "#{url}: #{e.message}"
end

started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
slow = SlowServer.new if ARGV.empty?

# The thread ends when all its fibers have ended.
Thread.new do
  Fiber.set_scheduler(UM::FiberScheduler.new)
  Fiber.schedule { slow.run } if slow
  (slow ? slow.urls : ARGV).each { |url| Fiber.schedule { fetch(url) } }
end.join

puts format("all of them took %.1f s", Process.clock_gettime(Process::CLOCK_MONOTONIC) - started)
puts "the server has worked on #{slow.most_at_once} at once" if slow
