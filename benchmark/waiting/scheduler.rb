# frozen_string_literal: true

# One run: COUNT fibers wait for SECONDS.
#
#   ruby scheduler.rb pop|sleep|read COUNT SECONDS

require "json"
require "uringmachine"
require "uringmachine/fiber_scheduler"

kind = ARGV[0]
count = Integer(ARGV[1])
seconds = Float(ARGV[2])

cpu = -> { Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) }
queue = Thread::Queue.new
reader, writer = IO.pipe
sleeping = []
wait = {
  "pop" => -> { queue.pop },
  "sleep" => lambda do
    sleeping << Fiber.current
    sleep(1_000_000)
  end,
  # Each with a buffer of its own; none of them gets anything.
  "read" => -> { reader.readpartial(1) rescue nil } # rubocop:disable Style/RescueModifier
}.fetch(kind)
release = {
  "pop" => -> { queue.close },
  "sleep" => -> { sleeping.each { |fiber| Fiber.scheduler.unblock(nil, fiber) } },
  "read" => -> { writer.close }
}.fetch(kind)

GC.start
ended = 0
begun = cpu.call
scheduler = UM::FiberScheduler.new
Fiber.set_scheduler(scheduler)
count.times do
  Fiber.schedule do
    wait.call
    ended += 1
  end
end
result = {}
Fiber.schedule do
  sleep(0.5)
  result[:start] = cpu.call - begun
  waits = scheduler.machine.metrics[:total_waits]
  idle = cpu.call
  sleep(seconds)
  result[:idle] = cpu.call - idle
  result[:wakes] = scheduler.machine.metrics[:total_waits] - waits
  begun = cpu.call
  release.call
end
scheduler.run
result[:finish] = cpu.call - begun
abort "#{ended} of #{count} fibers ended" unless ended == count
puts JSON.generate(result)
$stdout.flush
exit!(0)
