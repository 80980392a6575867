# frozen_string_literal: true

# What the variants share: the durations, the lateness of each wake, the result.

require "json"

module Sleeps
  FIBERS, COUNT = ARGV.map(&:to_i)
  # Seconds.
  RANGE = (0.001..0.5)
  RANDOM = Random.new(42)
  # Seconds that a sum of Floats may be off.
  CLOCK_ERROR = 1e-6

  @late = []

  module_function

  # The sleeps of one fiber; the block sleeps so many seconds. Each wake is noted with how late it
  # came.
  def run
    COUNT.times do
      duration = RANDOM.rand(RANGE)
      due = now + duration
      yield duration
      @late << (now - due)
    end
  end

  # The block makes all fibers and waits for their end. `sleeping`: they really sleep.
  def measure(sleeping: true)
    start = cpu
    yield
    used = cpu - start
    sleeps = FIBERS * COUNT
    abort "#{@late.size} of #{sleeps} sleeps" unless @late.size == sleeps
    puts JSON.generate(sleeps:, cpu_ns: used, **(sleeping ? lateness : {}))
  end

  def lateness
    late = @late.sort
    abort "woken #{late.first * -1000} ms early" if late.first < -CLOCK_ERROR
    percentile = ->(percent) { late[(late.size - 1) * percent / 100] * 1000 }
    { p50_ms: percentile.call(50), p99_ms: percentile.call(99), max_ms: percentile.call(100) }
  end

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :nanosecond)
end
