# frozen_string_literal: true

# What the variants of the pipe benchmark share: the messages, the measuring, the verdict.
#
# A variant gets PAIRS pairs and calls `Pipes.measure(...)` around the part in which all messages
# go through. Each message is compared with `==` as a whole.

require "json"

module Pipes
  PAIRS, MESSAGES, KIND = (ARGV + %w[50 2000 pipe].drop(ARGV.size)).then { |a, b, c| [a.to_i, b.to_i, c] }
  SIZE = 1024
  WARMUP = [200, MESSAGES].min
  # Different messages, taken in turn. A power of two.
  SET = Random.new(42).then { |random| Array.new(64) { random.bytes(SIZE).freeze } }.freeze

  module_function

  # The messages of a pair: number `index` is at `index & 63`. Each pair begins elsewhere.
  def messages(pair) = SET.rotate(pair)

  # An empty binary string with room for a message.
  def buffer = String.new(capacity: SIZE)

  # Stops the run: a message isn't the one that was sent.
  def wrong(pair, index) = abort("pair #{pair}: message #{index} differs")

  # Runs the block twice: with few messages for each pair to warm up, then measured.
  def measure
    received = yield WARMUP
    abort "warm-up: #{received} messages received" unless received == WARMUP * PAIRS
    GC.start
    before = read_clocks
    received = yield MESSAGES
    wall, cpu = read_clocks.zip(before).map { |now, start| now - start }
    abort "#{received} messages received" unless received == MESSAGES * PAIRS
    puts JSON.generate(messages: received, wall_ns: wall, cpu_ns: cpu)
  end

  def read_clocks
    clocks = [Process::CLOCK_MONOTONIC, Process::CLOCK_PROCESS_CPUTIME_ID]
    clocks.map { |clock| Process.clock_gettime(clock, :nanosecond) }
  end

  # Pairs of IO objects, each [reader, writer], for the variants that use Ruby's IO.
  def io_pairs
    Array.new(PAIRS) do
      pair = KIND == "socket" ? UNIXSocket.pair : IO.pipe
      pair.each { |io| io.binmode.sync = true }
    end
  end
end
