# frozen_string_literal: true

# Ruby's own Mutex and Queue where nobody has to wait: without a scheduler, in a fiber of ours, and
# in the root fiber of a program with `require "polyphony"`, which is where that steps in. CPU
# nanoseconds of one call; each variant in a fresh process, all in turn, best slice of each.

require_relative "support"

chosen = Bench.options(rounds: 7)
VARIANTS = %w[none scheduler polyphony].freeze
# More than without a scheduler.
TARGETS_NS = { "polyphony" => 50, "scheduler" => 10 }.freeze

commands = VARIANTS.to_h { [_1, Bench.ruby("benchmark/uncontended/calls.rb", _1)] }
results = Bench.alternate(commands, chosen[:rounds])

puts "uncontended calls, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""
rows = results["none"].first.keys.flat_map do |call|
  VARIANTS.map do |name|
    figures, bare = results.values_at(name, "none").map { |rounds| rounds.map { _1[call] } }
    more = Bench.median(figures.zip(bare).map { |ours, theirs| ours - theirs })
    [call, name, format("%.1f", Bench.median(figures)), Bench.spread(figures, 1), format("%+.1f", more),
     TARGETS_NS[name], Bench.met(more, TARGETS_NS[name])]
  end
end
Bench.table(["call", "with", "ns", "min..max", "more", "target", ""], rows, right: 2..5)
