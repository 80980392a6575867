# frozen_string_literal: true

# compare.rb FOLDER: runs the tests in there with Ruby's scheduler and with ours, in several ways,
# and fails when one doesn't pass with ours that passes with Ruby's.

require "fileutils"
require "rbconfig"
require "tmpdir"

# One run of the tests.
class Run
  MOST_SECONDS = 60
  RUNNER = File.join(__dir__, "run.rb")

  def initialize(tests, environment)
    @tests = tests
    @environment = environment
  end

  # The names of the tests that passed, and of all that ran to an end.
  attr_reader :passed, :ended

  # What the run printed.
  attr_reader :output

  def call
    Dir.mktmpdir("ruby-suite") do |folder|
      results = File.join(folder, "results")
      log = File.join(folder, "log")
      pid = Process.spawn(@environment, RbConfig.ruby, RUNNER, @tests, results,
                          in: File::NULL, %i[out err] => log, pgroup: true, chdir: @tests)
      wait_for(pid)
      @output = File.read(log)
      read(results)
    end
    self
  end

  private

  def wait_for(pid)
    waiter = Process.detach(pid)
    waiter.join(MOST_SECONDS) || Process.kill(:KILL, -pid)
    waiter.join
  end

  def read(results)
    lines = File.exist?(results) ? File.readlines(results, chomp: true).map(&:split) : []
    @ended = lines.map(&:first)
    @passed = lines.select { |_, outcome| outcome == "passed" }.map(&:first)
  end
end

# The tests with our scheduler where theirs was.
def with_replacement(tests)
  Dir.mktmpdir("ruby-suite") do |folder|
    FileUtils.cp_r("#{tests}/.", folder)
    fiber = File.join(folder, "test/fiber")
    File.rename("#{fiber}/scheduler.rb", "#{fiber}/reference_scheduler.rb")
    File.write("#{fiber}/scheduler.rb", <<~RUBY)
      require #{File.join(__dir__, "scheduler.rb").dump}
      derive_schedulers(File.join(__dir__, "reference_scheduler.rb"))
    RUBY
    yield folder
  end
end

tests = ARGV.fetch(0)
ways = {
  "as it is" => {},
  "with blocking operations on threads" => { "RUBY_SUITE_BLOCKING_OPERATIONS" => "1" },
  "with its contract checked" => { "RUBY_SUITE_CONTRACT" => "1" },
  "with M:N threads" => { "RUBY_MN_THREADS" => "1" }
}

# Tests that can't pass, by why.
exceptions = {
  "with its contract checked" => %w[TestFiberProcess#test_system_faulty_process_wait] # caught earlier
}
# It leaves a scheduled fiber by Fiber.yield, which goes back to who has resumed it; ours was switched to,
# as the reference does it from 3.4 on.
exceptions.default = RUBY_VERSION < "3.4" ? %w[TestFiberMutex#test_mutex_deadlock] : []

reference = Run.new(tests, {}).call
abort "#{reference.output}\nNo test passes with Ruby's own scheduler" if reference.passed.empty?
puts "Ruby's scheduler: #{reference.passed.size} of #{reference.ended.size} tests pass"

missing = with_replacement(tests) do |folder|
  ways.flat_map do |way, environment|
    run = Run.new(folder, environment).call
    missing = reference.passed - run.passed - exceptions[way] - exceptions.default
    puts "ours, #{way}: #{run.passed.size} of #{run.ended.size} tests pass"
    puts run.output, *missing.map { |name| "  fails with ours only: #{name}" } if missing.any?
    missing
  end
end
exit missing.empty?
