# frozen_string_literal: true

# Connections of all kinds, and everything that can happen to them at once: descriptors are closed and
# their numbers taken by the next ones, transfers are interrupted, peers reset or half-close. No byte
# may reach anybody but its receiver, none may be lost, and nothing may be left.
#
#   bin/ruby spec/stress/descriptors.rb                      10,000 connections
#   bin/ruby spec/stress/descriptors.rb --seed 42 --connections 500
#   bin/ruby spec/stress/descriptors.rb --minutes 10         again and again, with new seeds
require "optparse"
require "polyphony"
require "timeout"
%w[records coding handle wires plan kinds peers flow connection trouble verdict run left].each do |name|
  require_relative "descriptors/#{name}"
end

module DescriptorStress
  # The program's options, and its runs.
  class Program
    def initialize(arguments)
      @seed = Random.new_seed % 1_000_000
      @connections = 10_000
      @minutes = 0.0
      OptionParser.new do |options|
        options.on("--seed N", Integer) { |seed| @seed = seed }
        options.on("--connections N", Integer) { |count| @connections = count }
        options.on("--minutes M", Float) { |minutes| @minutes = minutes }
        options.on("--only ID", Integer, "all of them as this one") { |id| @only = id }
      end.parse!(arguments)
    end

    # The exit status.
    def call
      $stdout.sync = true
      Left.rings_at_start
      Run.new(Planner.new(0), 50).call || abort("the first few have failed")
      deadline = now + (@minutes * 60)
      loop do
        return 1 unless run_once(@seed)
        return 0 if now >= deadline

        @seed += 1
      end
    end

    private

    def run_once(seed)
      puts "seed #{seed}: #{@connections} connections"
      started = now
      left = Left.new
      run = Run.new(Planner.new(seed, @only), @connections)
      passed = run.call & left.none?
      puts summary(seed, run, now - started)
      again = "bin/ruby spec/stress/descriptors.rb --seed #{seed} --connections #{@connections}"
      puts "again: #{again}" unless passed
      passed
    end

    def summary(seed, run, seconds)
      tally = run.tally
      format("seed %<seed>d: %<connections>d connections in %<seconds>.1f s, %<failures>d faults; %<counts>s",
             seed:, seconds:, connections: tally[:connections], failures: run.failures.size,
             counts: tally.except(:connections).map { |what, count| "#{what} #{count}" }.join(", "))
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end

exit DescriptorStress::Program.new(ARGV).call if $PROGRAM_NAME == __FILE__
