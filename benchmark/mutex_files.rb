# frozen_string_literal: true

# What it costs to write to a file under a mutex: 50 groups of ten fibers, each group with a mutex
# and a file, each fiber writing 1 KB at a time to its own place, against a native loop of the same
# pwrites. Every variant runs in a fresh process, all in turn, several rounds.
#
# What a write costs by itself depends on the file system (`--directory`): where the kernel hands
# it to a worker of the ring, that is part of the figure. "no mutex" shows how much.

require "tmpdir"
require_relative "support"

chosen = Bench.options(
  rounds: 7, groups: 50, messages: 100, directory: Dir.tmpdir,
  only: ["native", "machine", "no mutex", "scheduler", "threads"]
)
TARGET_US = 1.2
size = chosen.values_at(:groups, :messages, :directory)
commands = {
  "native" => Bench.native("files", "--files", size[0], "--messages", size[1], "--directory", size[2]),
  "machine" => Bench.ruby("benchmark/mutex_files/machine.rb", *size),
  "no mutex" => Bench.ruby("benchmark/mutex_files/no_mutex.rb", *size),
  "scheduler" => Bench.ruby("benchmark/mutex_files/scheduler.rb", *size),
  "threads" => Bench.ruby("benchmark/mutex_files/threads.rb", *size)
}.slice("native", *chosen[:only])

puts "#{size[0]} files in #{size[2]}, ten writers each, #{size[1]} messages of 1 KB from each, " \
     "#{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""

results = Bench.alternate(commands, chosen[:rounds])
cpu = results.transform_values { |rounds| rounds.map { _1[:cpu_ns] / 1000.0 / _1[:messages] } }
Bench.table(
  ["variant", "CPU us/write", "min..max", "wall us", "above native", "best", "target", ""],
  cpu.map do |name, figures|
    above = Bench.median(figures.zip(cpu["native"]).map { |ours, native| ours - native })
    best = figures.min - cpu["native"].min
    wall = Bench.median(results[name].map { _1[:wall_ns] / 1000.0 / _1[:messages] })
    target = TARGET_US if name == "machine"
    [name, format("%.2f", Bench.median(figures)), Bench.spread(figures), format("%.2f", wall),
     format("%.2f", above), format("%.2f", best), target, Bench.met(above, target)]
  end
)
