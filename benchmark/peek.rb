# frozen_string_literal: true

# What an op that completes at once costs while a second Ruby thread is busy computing. A machine
# that gives up the GVL for it would wait out Ruby's time slice (100 ms) each time.

require_relative "support"

chosen = Bench.options(rounds: 5, ops: 50_000, seconds: 5.0)

puts "write + read of 1 KB on a pipe by the machine API, each op timed, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""

results = Hash.new { |hash, name| hash[name] = [] }
chosen[:rounds].times do
  %w[alone busy].each do |name|
    results[name] << Bench.run_json(Bench.ruby("benchmark/peek/ops.rb", name, chosen[:ops], chosen[:seconds]))
  end
end

Bench.table(
  ["second thread", "op", "median us", "min..max", "p99 us", "longest ms", "ops a round", "target us", ""],
  results.keys.product(%i[write read]).map do |name, op|
    rounds = results[name].map { _1[op] }
    medians = rounds.map { _1[:p50_us] }
    median = Bench.median(medians)
    target = 5 if name == "busy"
    p99 = Bench.median(rounds.map { _1[:p99_us] })
    longest = rounds.map { _1[:max_us] }.max / 1000
    [name, op, format("%.2f", median), Bench.spread(medians), format("%.2f", p99), format("%.1f", longest),
     rounds.map { _1[:count] }.min, target, target && (median < target ? "met" : "MISSED")]
  end
)
