# frozen_string_literal: true

# Fibers that wait and do nothing else, under the fiber scheduler: what 10,000 and 30,000 of them
# cost to start, per second while they wait, and to end, in CPU time of the process. They wait in
# Queue#pop, sleep and IO#read (of one pipe).

require_relative "support"

chosen = Bench.options(rounds: 1, fibers: [10_000, 30_000], seconds: 10, only: %w[pop sleep read])

puts "Waiting fibers, held for #{chosen[:seconds]} s"
puts Bench.machine_line, ""
rows = chosen[:fibers].product(chosen[:only]).map do |count, kind|
  runs = Array.new(chosen[:rounds]) do
    Bench.run_json(Bench.ruby("benchmark/waiting/scheduler.rb", kind, count, chosen[:seconds]))
  end
  figures = %i[start idle wakes finish].map { |key| Bench.median(runs.map { _1[key] }) }
  start, idle, wakes, finish = figures
  [count, kind, format("%.2f", start / count * 1e6), format("%.3f", idle / chosen[:seconds] * 1000),
   wakes, format("%.2f", finish / count * 1e6)]
end
header = ["fibers", "in", "start us/fiber", "idle CPU ms/s", "wake-ups", "end us/fiber"]
Bench.table(header, rows, right: [0, *2..5])
