# frozen_string_literal: true

# Files through one of IO's methods, or through Zlib::GzipWriter, while a fiber wakes every
# millisecond: time, CPU time, how late the fiber woke (99 of 100 times, and at worst) and the peak
# of resident memory, as a line of JSON.
#
#   streams.rb gzip|gunzip|writer INPUT OUTPUT COUNT LEVEL THREADS

require "polyphony"
require "zlib"

WAYS = {
  "gzip" => ->(from, to, options) { IO.gzip(from, to, **options) },
  "gunzip" => ->(from, to, _) { IO.gunzip(from, to) },
  "writer" => lambda do |from, to, options|
    gzip = Zlib::GzipWriter.new(to, options[:level])
    while (data = from.read(65_536))
      gzip << data
    end
    gzip.finish
  end
}.freeze

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
def cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :nanosecond)

# How late a fiber is that sleeps a millisecond again and again.
def watch(delays)
  spin do
    loop do
      before = now
      sleep 0.001
      delays << (now - before - 1_000_000)
    end
  end
end

way, input, output, count, level, threads = ARGV
options = { level: Integer(level), threads: Integer(threads) }
# One stream goes to the file that is named, several ones to nowhere.
output = File::NULL if Integer(count) > 1
delays = []
begin_wall = now
begin_cpu = cpu
watch(delays)
streams = Array.new(Integer(count)) do
  spin do
    File.open(input, "rb") { |from| File.open(output, "wb") { |to| WAYS.fetch(way).call(from, to, options) } }
  end
end
Fiber.await(*streams)
wall = now - begin_wall
used = cpu - begin_cpu
delays = [wall] if delays.empty?
delays.sort!
peak = File.read("/proc/self/status")[/VmHWM:\s+(\d+)/, 1]
puts %({"wall_ns":#{wall},"cpu_ns":#{used},"p99_ns":#{delays[(delays.size * 0.99).floor]},) +
     %("worst_ns":#{delays.last},"peak_kb":#{peak}})
