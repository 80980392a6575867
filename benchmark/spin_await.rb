# frozen_string_literal: true

# What a fiber of the tree costs: `spin { }.await` against a bare fiber, the turn of a fiber, a
# message, and many fibers at once. CPU time, in turn, in one process.

require_relative "support"
require "polyphony"

chosen = Bench.options(rounds: 5, count: 100_000, live: 30_000)
count, live = chosen.values_at(:count, :live)
turns = 50
cpu = -> { Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) }
machine = Polyphony.machine

# rubocop:disable Lint/EmptyBlock -- fibers that do nothing are what is measured
variants = {
  "Fiber.new { }.resume" => [count, -> { count.times { Fiber.new {}.resume } }],
  "machine.join(machine.spin { })" => [count, -> { count.times { machine.join(machine.spin {}) } }],
  "spin { }.await" => [count, -> { count.times { spin {}.await } }],
  "snooze, #{turns} fibers" => [count, lambda do
    Fiber.await(Array.new(turns) { spin { (count / turns).times { snooze } } })
  end],
  "message there and back" => [count, lambda do
    answering = spin { count.times { receive << :answer } }
    spin { count.times { (answering << Fiber.current) && receive } }.await
  end]
}
# rubocop:enable Lint/EmptyBlock

times = Hash.new { |hash, name| hash[name] = [] }
chosen[:rounds].times do
  variants.each do |name, (number, work)|
    start = cpu.call
    work.call
    times[name] << ((cpu.call - start) / number * 1e6)
  end
end
# So many live at once, a thousand after the other.
made = Array.new(live / 1000) do
  start = cpu.call
  1000.times { spin { suspend } }
  snooze
  (cpu.call - start) * 1000
end
Polyphony.main_fiber.shutdown_all_children

bare = times["Fiber.new { }.resume"]
puts Bench.machine_line, ""
Bench.table(
  ["", "us", "of rounds", "to a bare fiber"],
  times.map do |name, values|
    [name, format("%.2f", Bench.median(values)), Bench.spread(values),
     format("%.2f", Bench.median(Bench.ratios(values, bare)))]
  end
)
half = made.size / 2
ratio = Bench.median(Bench.ratios(times["spin { }.await"], bare))
puts "", "spin { }.await to a bare fiber: #{Bench.verdict(ratio, 1.6)}"
puts "a turn: #{Bench.verdict(Bench.median(times["snooze, #{turns} fibers"]), 0.4)}"
puts "a message: #{Bench.verdict(Bench.median(times["message there and back"]) / 2, 1.0)}"
puts "#{live} live fibers, making one of the later half to one of the first: " +
     format("%.2f", Bench.median(made.last(half)) / Bench.median(made.first(half)))
