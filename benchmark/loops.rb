# frozen_string_literal: true

# What it costs to take in streams, a String at a time: recv_loop and feed_loop against loops of
# readpartial in threads, all with pieces of 8 KB.

require_relative "support"

CHOSEN = Bench.options(rounds: 5, megabytes: 1024, size: 8192, connections: 1)
TARGET = 2.0

def round(way)
  command = Bench.ruby("benchmark/loops/server.rb", way, *CHOSEN.values_at(:connections, :size))
  Bench::Child.open(command) do |server|
    each = (CHOSEN[:megabytes] << 20) / CHOSEN[:connections]
    bytes = each * CHOSEN[:connections]
    pour = Bench.native("pour", "--port", server.line.fetch(:port), "--bytes", each)
    pours = Array.new(CHOSEN[:connections]) { Bench::Child.new(pour) }
    result = server.line
    pours.each(&:finish)
    raise Bench::Failed, "#{way}: #{result[:bytes]} bytes of #{bytes}" unless result[:bytes] == bytes

    { rate: bytes * 1e3 / result[:wall_ns], cpu: result[:cpu_ns] / (bytes / 1024.0) }
  end
end

ways = %w[readpartial recv_loop feed_loop]
results = ways.to_h { [_1, []] }
CHOSEN[:rounds].times { ways.each { |way| results[way] << round(way) } }

puts Bench.machine_line, ""
rows = results.map do |way, rounds|
  rates = rounds.map { _1[:rate] }
  ratio = Bench.median(Bench.ratios(rates, results["readpartial"].map { _1[:rate] }))
  target = TARGET unless way == "readpartial"
  rate, cpu = [rates, rounds.map { _1[:cpu] }].map { format("%.0f", Bench.median(_1)) }
  [way, rate, cpu, format("%.2f", ratio), target, target && (ratio >= target ? "met" : "MISSED")]
end
Bench.table(["", "MB/s", "CPU ns/KB", "MB/s x readpartial", "target", ""], rows)
