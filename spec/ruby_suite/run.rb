# frozen_string_literal: true

# run.rb FOLDER RESULTS: runs the tests in there by Ruby's own test library, and writes the outcome of
# each to the file RESULTS as soon as it is known.

folder, results = ARGV
ARGV.clear
require File.join(folder, "tool/test/init")

# Notes how each test ends. An exception that ended a fiber fails the test unless the test expects
# it: a scheduler that keeps such exceptions for itself would otherwise pass tests whose assertions fail.
module Recording
  class << self
    attr_accessor :file, :fiber_errors
  end

  def run(runner)
    Recording.fiber_errors = []
    @expected = []
    super.tap { Recording.file.puts("#{self.class}##{__name__} #{passed? ? "passed" : "failed"}") }
  end

  %i[assert_raise assert_raise_with_message].each do |assertion|
    define_method(assertion) do |*arguments, &block|
      super(*arguments, &block).tap { |error| @expected << error }
    end
  end

  def after_teardown
    super
    unexpected = Recording.fiber_errors - @expected
    raise unexpected.first if unexpected.any?
  end
end

Recording.file = File.open(results, "w").tap { |file| file.sync = true }
Test::Unit::TestCase.prepend(Recording)
exit Test::Unit::AutoRunner.run(true, folder, ["-v", File.join(folder, "test/fiber")])
