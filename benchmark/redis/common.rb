# frozen_string_literal: true

# What a client has spent on GETs in pipelines.

require "json"

module Pipelines
  PORT, COUNT, SIZE = ARGV.map { Integer(_1) }
  VALUE = "bar"
  # As many before the clocks are read.
  WARM_UP = 20

  module_function

  # The block sends a pipeline of SIZE times GET foo and returns the replies.
  def measure(**about, &)
    run(WARM_UP, &)
    start = clocks
    run(COUNT / SIZE, &)
    wall, cpu = clocks.zip(start).map { |after, before| after - before }
    puts JSON.generate({ commands: COUNT / SIZE * SIZE, wall:, cpu:, **about })
  end

  def run(times)
    times.times do
      replies = yield
      right = replies.size == SIZE && replies.all? { _1 == VALUE }
      abort "wrong replies: #{replies.first(3).inspect}, #{replies.size} in all" unless right
    end
  end

  def clocks
    [Process::CLOCK_MONOTONIC, Process::CLOCK_PROCESS_CPUTIME_ID].map { Process.clock_gettime(_1) }
  end
end
