# frozen_string_literal: true

# Cost of one message of 1 KB through a pipe (write + read) over 50 pairs, against a native loop
# that does the same two syscalls. Every variant runs in a fresh process, all in turn, several
# rounds.

require_relative "pipes/comparison"

chosen = Bench.options(
  rounds: 5, pairs: 50, messages: 2000, only: %w[native machine scheduler sequential threads]
)
size = [*chosen.values_at(:pairs, :messages), "pipe"]

commands = {
  "native" => Bench.native("pipes", "--kind", "pipe", "--pairs", size[0], "--messages", size[1]),
  **%w[machine scheduler sequential threads].to_h { [_1, Bench.ruby("benchmark/pipes/#{_1}.rb", *size)] }
}.slice("native", *chosen[:only])

puts "#{size[0]} pipes, #{size[1]} messages of 1 KB each, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""
MessageCost.new(commands, chosen[:rounds]).print("machine" => 1.6, "scheduler" => 3.5)
