# frozen_string_literal: true

# A child that writes lines into a pipe, and what reading them has cost this process.

require "json"

module Lines
  LINE = "#{"x" * 79}\n".freeze
  BLOCK = LINE * 800
  COUNT = Integer(ARGV.last) * 1_000_000 / BLOCK.bytesize * 800

  module_function

  # The block gets the pipe and returns the number of lines.
  def measure
    reader, writer = IO.pipe
    child = fork do
      reader.close
      (COUNT / 800).times { writer.write(BLOCK) }
      exit!(0)
    end
    writer.close
    result = cost { yield reader }
    Process.wait(child)
    abort "#{result[:lines]} lines of #{COUNT}" unless result[:lines] == COUNT
    puts JSON.generate(result)
  end

  def cost
    objects = GC.stat(:total_allocated_objects)
    start = clocks
    lines = yield
    wall, cpu = clocks.zip(start).map { |after, before| after - before }
    { lines:, wall:, cpu:, objects: GC.stat(:total_allocated_objects) - objects }
  end

  def clocks
    [Process::CLOCK_MONOTONIC, Process::CLOCK_PROCESS_CPUTIME_ID].map { Process.clock_gettime(_1) }
  end
end
