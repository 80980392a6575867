# frozen_string_literal: true

# TCP echo of 64-byte messages: what a request costs the server in CPU time, and its latency, at
# 1, 50 and 500 connections with one message in flight on each. A fresh server for every run, all
# in turn; the CPU time is read from the server's clock by the load client, at both ends of the
# measured part.

require_relative "echo/runner"

chosen = Bench.options(
  rounds: 5, seconds: 2.0, connections: [1, 50, 500], only: Echo::SERVERS.keys
)
names = ["native epoll", "native io_uring"] | chosen[:only]
# CPU per request, as a multiple of the better native server.
targets = { "machine" => { 50 => 1.1, 500 => 1.3 }, "scheduler" => { 50 => 1.25, 500 => 1.7 } }

puts "TCP echo of 64 bytes, #{chosen[:rounds]} rounds of #{chosen[:seconds]} s in turn, every reply verified"
puts Bench.machine_line

chosen[:connections].map(&:to_i).each do |connections|
  results = Hash.new { |hash, name| hash[name] = [] }
  chosen[:rounds].times do
    names.each { |name| results[name] << Echo.run(name, connections:, seconds: chosen[:seconds]) }
  end

  middle = ->(name, key) { Bench.median(results[name].map { _1[key] }) }
  native = names.first(2).map { middle[_1, :server_cpu_us] }.min
  threads = middle["threads", :p50_us] if results.key?("threads")

  puts "", "#{connections} connection#{"s" if connections > 1}"
  Bench.table(
    ["server", "CPU us/request", "min..max", "x native", "target", "", "requests/s", "p50 us", "p99 us"],
    names.map do |name|
      cpu = middle[name, :server_cpu_us]
      target = targets.dig(name, connections)
      [name, format("%.2f", cpu), Bench.spread(results[name].map { _1[:server_cpu_us] }),
       format("%.2f", cpu / native), target, target && (cpu / native <= target ? "met" : "MISSED"),
       middle[name, :rps].round, format("%.1f", middle[name, :p50_us]), format("%.1f", middle[name, :p99_us])]
    end
  )
  next unless threads && connections == 1

  %w[machine scheduler].each do |name|
    next unless results.key?(name)

    p50 = middle[name, :p50_us]
    puts format("latency of %s at one connection: %.2f of the threads' (target 1, %s)",
                name, p50 / threads, p50 <= threads ? "met" : "MISSED")
  end
end
