# frozen_string_literal: true

# TCP echo of 64-byte messages: what a request costs the server in CPU time, and its latency, at
# 1, 50 and 500 connections with one message in flight on each. A fresh server for every run, all
# in turn; the CPU time is read from the server's clock by the load client, at both ends of the
# measured part.
#
# With one connection the time of a request depends on whether the kernel has put server and
# client on one CPU or on two, so both are measured, each fixed by taskset.

require_relative "echo/runner"

chosen = Bench.options(
  rounds: 5, seconds: 2.0, connections: [1, 50, 500], only: Echo::SERVERS.keys
)
NAMES = (["native epoll", "native io_uring"] | chosen[:only]) & Echo.servers
# CPU per request, as a multiple of the better native server.
TARGETS = { "machine" => { 50 => 1.1, 500 => 1.3 }, "scheduler" => { 50 => 1.25, 500 => 1.7 } }.freeze

# One table: all servers with so many connections.
class Comparison
  def initialize(connections, cpus, rounds:, seconds:)
    @connections = connections
    @results = NAMES.to_h { |name| [name, []] }
    rounds.times do
      NAMES.each { |name| @results[name] << Echo.run(name, connections:, seconds:, cpus:) }
    end
  end

  def print
    native = NAMES.first(2).map { median(_1, :server_cpu_us) }.min
    Bench.table(
      ["server", "CPU us/request", "min..max", "x native", "target", "", "requests/s", "p50 us", "p99 us"],
      NAMES.map { |name| row(name, native) }
    )
  end

  # The latency of ours against that of threads: no worse, as far as a shared machine can tell.
  def print_latency
    %w[machine scheduler].intersection(NAMES).each do |name|
      ratio = median(name, :p50_us) / median("threads", :p50_us)
      puts "latency (p50) of #{name} / threads: #{Bench.verdict(ratio, 1.05)}"
    end
  end

  private

  def median(name, key) = Bench.median(@results[name].map { _1[key] })

  def row(name, native)
    cpu = median(name, :server_cpu_us)
    target = TARGETS.dig(name, @connections)
    verdict = target && (cpu / native <= target ? "met" : "MISSED")
    spread = Bench.spread(@results[name].map { _1[:server_cpu_us] })
    [name, format("%.2f", cpu), spread, format("%.2f", cpu / native), target, verdict,
     median(name, :rps).round, *%i[p50_us p99_us].map { |key| format("%.1f", median(name, key)) }]
  end
end

puts "TCP echo of 64 bytes, #{chosen[:rounds]} rounds of #{chosen[:seconds]} s in turn, every reply verified"
puts Bench.machine_line

placements = { "" => [nil, nil] }
one = { ", server and client on one CPU" => [0, 0], ", on two CPUs" => [0, 1] }
one.delete(", on two CPUs") if Etc.nprocessors < 2

chosen[:connections].map(&:to_i).each do |connections|
  (connections == 1 ? one : placements).each do |place, cpus|
    puts "", "#{connections} connection#{"s" if connections > 1}#{place}"
    comparison = Comparison.new(connections, cpus, **chosen.slice(:rounds, :seconds))
    comparison.print
    comparison.print_latency if connections == 1 && NAMES.include?("threads")
  end
end
