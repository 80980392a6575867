# frozen_string_literal: true

# What the variants share: files without a name, messages, measuring, and the check that each
# writer's last message is in its place.

require "json"

module Files
  GROUPS, MESSAGES = ARGV.first(2).map(&:to_i)
  DIRECTORY = ARGV[2]
  WRITERS = 10
  SIZE = 1024
  WARMUP = [20, MESSAGES].min
  # Different messages, taken in turn. A power of two.
  SET = Random.new(42).then { |random| Array.new(64) { random.bytes(SIZE).freeze } }.freeze

  module_function

  # Message number `index` of a writer.
  def message(writer, index) = SET[(writer + index) & 63]

  # The block makes GROUPS x WRITERS writers for `files`, each with so many messages, and waits
  # for their end.
  def measure
    files = Array.new(GROUPS) { File.open(DIRECTORY, File::RDWR | File::TMPFILE) }
    yield files, WARMUP
    GC.start
    before = read_clocks
    yield files, MESSAGES
    wall, cpu = read_clocks.zip(before).map { |now, start| now - start }
    files.each { |file| check(file) }
    puts JSON.generate(messages: GROUPS * WRITERS * MESSAGES, wall_ns: wall, cpu_ns: cpu)
  end

  def check(file)
    expected = Array.new(WRITERS) { |writer| message(writer, MESSAGES - 1) }.join
    abort "a file differs" unless file.pread(expected.bytesize + 1, 0) == expected
  end

  def read_clocks
    clocks = [Process::CLOCK_MONOTONIC, Process::CLOCK_PROCESS_CPUTIME_ID]
    clocks.map { |clock| Process.clock_gettime(clock, :nanosecond) }
  end
end
