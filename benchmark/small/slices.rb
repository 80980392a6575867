# frozen_string_literal: true

# One round of small.rb: CPU microseconds of one operation, of each slice.
#
#   ruby slices.rb SLICES

require "json"
require "uringmachine"
require_relative "handovers"

SLICES = Integer(ARGV[0])

# A slice of each side in turn, SLICES times: the figures of each side.
def in_turn(count, *sides)
  sides.each { |side| side.call(count) }
  figures = Array.new(SLICES) do
    sides.map do |side|
      start = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :float_microsecond)
      side.call(count)
      (Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :float_microsecond) - start) / count
    end
  end
  figures.transpose
end

machine = UM.new
null = File.open(File::NULL, "w").fileno
message = "x"

with_timeout = lambda do |count|
  count.times { machine.timeout(60, Timeout) { machine.write(null, message, 1) } }
end
without = ->(count) { count.times { machine.write(null, message, 1) } }

Timeout = Class.new(StandardError)
spun = 0
spin = ->(count) { count.times { machine.join(machine.spin { spun += 1 }) } }
bare = ->(count) { count.times { Fiber.new { spun += 1 }.resume } }

puts JSON.generate(
  timeout: in_turn(10_000, with_timeout, without),
  queue: in_turn(10_000, ->(count) { Handovers.run(machine, count) }),
  spin: in_turn(5_000, spin, bare)
)
abort "fibers are missing" unless spun == 2 * 5_000 * (SLICES + 1)
