# frozen_string_literal: true

# Cost of one message of 1 KB through a pipe (write + read) over 50 pairs, against a native loop
# that does the same two syscalls. Every variant runs in a fresh process, all in turn, several
# rounds. `--kind socket` takes Unix socket pairs instead.

require_relative "support"

chosen = Bench.options(
  rounds: 5, pairs: 50, messages: 2000, kind: "pipe",
  only: %w[native machine scheduler sequential threads]
)
size = chosen.values_at(:pairs, :messages, :kind)
socket = chosen[:kind] == "socket"

commands = {
  "native" => Bench.native("pipes", "--kind", chosen[:kind], "--pairs", size[0], "--messages", size[1]),
  "machine" => Bench.ruby("benchmark/pipes/machine#{"_socket" if socket}.rb", *size),
  "scheduler" => Bench.ruby("benchmark/pipes/scheduler.rb", *size),
  "sequential" => Bench.ruby("benchmark/pipes/sequential.rb", *size),
  "threads" => Bench.ruby("benchmark/pipes/threads.rb", *size)
}.slice("native", *chosen[:only])
targets = { "machine" => 1.6, "scheduler" => 3.5 }

puts "#{size[0]} #{chosen[:kind]} pairs, #{size[1]} messages of 1 KB each, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""

wall = Hash.new { |hash, name| hash[name] = [] }
cpu = Hash.new { |hash, name| hash[name] = [] }
chosen[:rounds].times do
  commands.each do |name, command|
    result = Bench.run_json(command)
    thousands = result[:messages] * 1000.0
    wall[name] << (result[:wall_ns] / thousands)
    cpu[name] << (result[:cpu_ns] / thousands)
  end
end

native = Bench.median(wall["native"])
Bench.table(
  ["variant", "us/message", "min..max", "CPU us", "x native", "target", ""],
  commands.keys.map do |name|
    middle = Bench.median(wall[name])
    target = targets[name] unless socket
    [name, format("%.2f", middle), Bench.spread(wall[name]), format("%.2f", Bench.median(cpu[name])),
     format("%.2f", middle / native), target, target && (middle / native <= target ? "met" : "MISSED")]
  end
)
