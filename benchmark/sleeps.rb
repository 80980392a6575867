# frozen_string_literal: true

# 10,000 fibers, each sleeping 20 times for a random time of 1 to 500 ms: what a sleep costs in CPU
# time, and how late fibers wake. Every variant runs in a fresh process, all in turn.
#
# "bare" is what the fibers and the loop cost without the sleeps: fibers that a plain loop resumes
# as often; "shuffled" in another order each time, as sleepers wake. Nothing is subtracted: the cost
# of a sleep is all that the process used, making the fibers included.

require_relative "support"

chosen = Bench.options(rounds: 3, fibers: 10_000, sleeps: 20, only: %w[machine scheduler bare shuffled])
CPU_TARGET_US = 4
LATE_TARGET_MS = 2
size = chosen.values_at(:fibers, :sleeps)
variants = %w[machine scheduler bare shuffled]
commands = variants.to_h { |name| [name, Bench.ruby("benchmark/sleeps/#{name}.rb", *size)] }

puts "#{size[0]} fibers, #{size[1]} sleeps of 1 to 500 ms each, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""

results = Bench.alternate(commands.slice(*chosen[:only]), chosen[:rounds])
Bench.table(
  ["variant", "CPU us/sleep", "min..max", "target", "",
   "late ms: p50", "p99", "min..max", "target", "", "worst"],
  results.map do |name, rounds|
    cpu = rounds.map { _1[:cpu_ns] / 1000.0 / _1[:sleeps] }
    median = Bench.median(cpu)
    next [name, format("%.2f", median), Bench.spread(cpu), *[nil] * 8] unless rounds.first[:p99_ms]

    p99 = rounds.map { _1[:p99_ms] }
    targets = name == "machine" ? [CPU_TARGET_US, LATE_TARGET_MS] : [nil, nil]
    [name, format("%.2f", median), Bench.spread(cpu), targets[0], Bench.met(median, targets[0]),
     format("%.2f", Bench.median(rounds.map { _1[:p50_ms] })), format("%.2f", Bench.median(p99)),
     Bench.spread(p99), targets[1], Bench.met(Bench.median(p99), targets[1]),
     format("%.1f", rounds.map { _1[:max_ms] }.max)]
  end
)
