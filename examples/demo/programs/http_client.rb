# frozen_string_literal: true

# Many Net::HTTP requests at once from one Ruby thread: plain Net::HTTP, one fiber for each, the
# fiber scheduler does the rest.
#
#   ruby http_client.rb PORT REQUESTS

require "json"
require "net/http"
require "uringmachine"
require "uringmachine/fiber_scheduler"

port, count = ARGV.map(&:to_i)
Process.setrlimit(Process::RLIMIT_NOFILE, Process.getrlimit(Process::RLIMIT_NOFILE).last)
Process.setrlimit(Process::RLIMIT_CPU, 60)

answered = 0
failures = []
clock = ->(id) { Process.clock_gettime(id) }
wall = clock[Process::CLOCK_MONOTONIC]
cpu = clock[Process::CLOCK_PROCESS_CPUTIME_ID]

Fiber.set_scheduler(UM::FiberScheduler.new)
count.times do |number|
  Fiber.schedule do
    response = Net::HTTP.get_response(URI("http://127.0.0.1:#{port}/number/#{number}"))
    right = response.code == "200" && response.body == "you asked for /number/#{number}\n"
    right ? answered += 1 : failures << "#{number}: #{response.code} #{response.body.inspect}"
  rescue StandardError => e
    failures << "#{number}: #{e.class}: #{e.message}"
  end
end
threads = Thread.list.size
Fiber.set_scheduler(nil)

puts JSON.generate(
  answered:, failed: failures.size, failure: failures.first, threads: [threads, Thread.list.size].max,
  seconds: clock[Process::CLOCK_MONOTONIC] - wall, cpu: clock[Process::CLOCK_PROCESS_CPUTIME_ID] - cpu
)
