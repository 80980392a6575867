# frozen_string_literal: true

# Time and CPU time of a block, as a line of JSON.
def report(bytes = nil)
  clocks = [Process::CLOCK_MONOTONIC, Process::CLOCK_PROCESS_CPUTIME_ID]
  before = clocks.map { |clock| Process.clock_gettime(clock, :nanosecond) }
  bytes = yield || bytes
  wall, cpu = clocks.zip(before).map { |clock, start| Process.clock_gettime(clock, :nanosecond) - start }
  puts %({"bytes":#{bytes},"wall_ns":#{wall},"cpu_ns":#{cpu}})
end
