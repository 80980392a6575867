# frozen_string_literal: true

# Runs variants of one program in turn and compares what a message costs them with what it costs
# the native loop.

require_relative "../support"

class MessageCost
  # Nanoseconds to microseconds.
  PER_MICROSECOND = 1000.0

  # `commands`: by name; "native" is what the others are compared with.
  def initialize(commands, rounds)
    results = Bench.alternate(commands, rounds)
    @wall = results.transform_values { |list| list.map { _1[:wall_ns] / PER_MICROSECOND / _1[:messages] } }
    @cpu = results.transform_values { |list| list.map { _1[:cpu_ns] / PER_MICROSECOND / _1[:messages] } }
  end

  # The table; a target is a multiple of native's CPU time.
  def print(targets)
    Bench.table(
      ["variant", "CPU us/message", "min..max", "wall us", "x native", "best", "target", ""],
      @cpu.keys.map { |name| row(name, targets[name]) }
    )
  end

  private

  def row(name, target)
    ratio = Bench.median(Bench.ratios(@cpu[name], @cpu["native"]))
    [name, format("%.2f", Bench.median(@cpu[name])), Bench.spread(@cpu[name]),
     format("%.2f", Bench.median(@wall[name])), format("%.2f", ratio),
     format("%.2f", @cpu[name].min / @cpu["native"].min), target, Bench.met(ratio, target)]
  end
end
