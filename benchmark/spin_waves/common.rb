# frozen_string_literal: true

# Runs waves of fibers and takes the peak of resident memory of each. The extension is loaded in
# all variants, so that its code counts in none of the ratios.

require "json"
require "uringmachine"

module Waves
  COUNT, FIBERS = ARGV.map(&:to_i)

  module_function

  # The block runs FIBERS fibers to their end and returns how many ended.
  def measure
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
    peaks = Array.new(COUNT) do
      reset_peak
      ended = yield
      abort "#{ended} of #{FIBERS} fibers ended" unless ended == FIBERS
      peak
    end
    wall = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond) - start
    puts JSON.generate(fibers: COUNT * FIBERS, wall_ns: wall, peaks:)
  end

  # Sets VmHWM back to what is resident now.
  def reset_peak = File.write("/proc/self/clear_refs", "5")

  def peak = File.read("/proc/self/status")[/^VmHWM:\s+(\d+) kB/, 1].to_i * 1024
end
