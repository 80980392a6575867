# frozen_string_literal: true

# Cost of one message of 1 KB through a Unix socket pair (send + recv) over 50 pairs, against a
# native loop of the same two syscalls: as a stream, and as ping-pong, where each side answers the
# message before. Every variant runs in a fresh process, all in turn, several rounds.

require_relative "pipes/comparison"

chosen = Bench.options(
  rounds: 7, pairs: 50, messages: 2000, only: %w[native machine scheduler threads]
)
size = [*chosen.values_at(:pairs, :messages), "socket"]
native = Bench.native("pipes", "--kind", "socket", "--pairs", size[0], "--messages", size[1])
compare = lambda do |title, scripts, targets|
  puts "", title
  commands = scripts.transform_values { Bench.ruby("benchmark/#{_1}.rb", *size) }
  MessageCost.new({ "native" => native, **commands.slice(*chosen[:only]) }, chosen[:rounds]).print(targets)
end

puts "#{size[0]} socket pairs, #{size[1]} messages of 1 KB each, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line
compare.call(
  "stream: one side sends, the other receives",
  { "machine" => "socketpairs/machine", "scheduler" => "pipes/scheduler", "threads" => "pipes/threads" },
  "machine" => 1.12
)
compare.call(
  "ping-pong: each message answers the one before",
  %w[machine scheduler threads].to_h { [_1, "socketpairs/ping_pong_#{_1}"] },
  "machine" => 2.0
)
