# frozen_string_literal: true

# One round of uncontended.rb: CPU nanoseconds of one call, the best of some slices.
#
#   ruby calls.rb none|scheduler|polyphony

require "json"

CALLS = 200_000
SLICES = 15

mutex = Thread::Mutex.new
queue = Thread::Queue.new

WORK = {
  "Mutex#synchronize" => -> { CALLS.times { mutex.synchronize { nil } } },
  "Queue#push, pop" => -> { CALLS.times { queue.push(1).pop } },
  "the loop alone" => -> { CALLS.times { nil } }
}.freeze

def measure
  best = WORK.transform_values do |work|
    work.call
    Array.new(SLICES) do
      begun = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :nanosecond)
      work.call
      (Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :nanosecond) - begun) / Float(CALLS)
    end.min
  end
  alone = best.delete("the loop alone")
  puts JSON.generate(best.transform_values { _1 - alone })
  $stdout.flush
end

case ARGV[0]
when "none" then measure
when "polyphony"
  require "polyphony"
  measure
when "scheduler"
  require "uringmachine"
  require "uringmachine/fiber_scheduler"
  Fiber.set_scheduler(UM::FiberScheduler.new)
  Fiber.schedule { measure }
end
