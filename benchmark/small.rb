# frozen_string_literal: true

# What small things cost: a timeout that doesn't fire, a value handed over between fibers, a fiber
# that is spun and joined. Each is measured in short slices, in turn with what it is compared with,
# in one process: the figures are CPU time, and the best slice of a side is what it takes when
# nothing disturbs it.
#
# System calls are counted by strace, where it is installed: the difference between two runs of
# which one does a million more.

require_relative "support"

chosen = Bench.options(rounds: 5, slices: 40)

# What is subtracted or divided by is named in the third column.
Row = Struct.new(:name, :title, :against, :kind, :target)
ROWS = [
  Row.new(:timeout, "timeout around a write", "the write alone", :difference, 0.5),
  Row.new(:queue, "push and shift between two fibers", nil, :alone, 0.5),
  Row.new(:spin, "spin and join of an empty fiber", "Fiber.new { }.resume", :ratio, 1.5)
].freeze

def figures(round, row)
  compare = lambda do |ours, theirs|
    case row.kind
    when :difference then ours - theirs
    when :ratio then ours / theirs
    else ours
    end
  end
  ours, theirs = round[row.name]
  pairs = row.kind == :alone ? ours : ours.zip(theirs).map { |pair| compare.call(*pair) }
  [Bench.median(pairs), compare.call(ours.min, theirs&.min)]
end

# Calls of one handover; nil without strace.
def syscalls_of_handover
  counts = [0, 1_000_000].map do |count|
    strace = %w[strace -f -qq -c -U calls,name]
    Bench::Child.open([*strace, *Bench.ruby("benchmark/small/handover.rb", count)], err: :pipe) do |child|
      child.finish
      child.error_line(/^\s*(\d+) total$/)[1].to_i
    end
  end
  (counts[1] - counts[0]) / 1_000_000.0
rescue Errno::ENOENT
  nil
end

puts "#{chosen[:slices]} slices of each in turn, #{chosen[:rounds]} rounds"
puts Bench.machine_line, ""

slices = Bench.ruby("benchmark/small/slices.rb", chosen[:slices])
rounds = Array.new(chosen[:rounds]) { Bench.run_json(slices) }
Bench.table(
  ["what", "", "median", "of rounds", "best", "target", "", "CPU us, best", "against"],
  ROWS.map do |row|
    medians, bests = rounds.map { figures(_1, row) }.transpose
    median = Bench.median(medians)
    sides = rounds.map { |round| round[row.name].map(&:min) }.transpose.map { format("%.2f", _1.min) }
    unit = row.kind == :ratio ? "x" : "us"
    [row.title, unit, format("%.2f", median), Bench.spread(medians), format("%.2f", bests.min), row.target,
     Bench.met(median, row.target), sides[0], row.against && "#{row.against}: #{sides[1]}"]
  end,
  right: 2..7
)
calls = syscalls_of_handover
text = calls ? Bench.verdict(calls.abs, 0.001, 4) : "not counted, strace is missing"
puts "", "system calls of a handover: #{text}"
