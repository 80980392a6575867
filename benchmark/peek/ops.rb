# frozen_string_literal: true

# One round of peek.rb: times single ops, beside a thread that computes or alone.
#
#   ruby ops.rb busy|alone OPS SECONDS

require "json"
require "uringmachine"

mode, ops, seconds = ARGV
ops = ops.to_i
message = Random.new(1).bytes(1024).freeze
buffer = String.new(capacity: 1024)
machine = UM.new
reader, writer = UM.pipe

now = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC, :float_microsecond) }
measure = lambda do |count|
  times = { write: [], read: [] }
  deadline = now.call + (seconds.to_f * 1_000_000)
  count.times do
    start = now.call
    sent = machine.write(writer, message)
    middle = now.call
    got = machine.read(reader, buffer, 1024)
    finish = now.call
    abort "wrong data" unless sent == 1024 && got == 1024 && buffer == message
    times[:write] << (middle - start)
    times[:read] << (finish - middle)
    break if finish > deadline
  end
  times
end

measure.call([1000, ops].min)
if mode == "busy"
  Thread.new do
    sum = 0
    loop { sum += 1 }
  end
end

result = measure.call(ops).transform_values do |list|
  sorted = list.sort
  count = sorted.size
  { count:, p50_us: sorted[count / 2], p99_us: sorted[count * 99 / 100], max_us: sorted.last }
end
puts JSON.generate(result)
$stdout.flush
exit!(0)
