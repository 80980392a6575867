# frozen_string_literal: true

module Demo
  # The figures of a run and how they stand to their targets.
  class Report
    # How far a figure may miss its target before the demo counts as failed.
    TOLERANCE = 2.0

    def initialize
      @rows = []
      @verdicts = []
    end

    # A figure without a target.
    def note(what, figure) = @rows << [what, figure, "", ""]

    # A figure whose `value` has to be at most, or at least, so much; `as` is how to say it.
    def measure(what, figure, value, as:, at_most: nil, at_least: nil)
      miss = at_least ? at_least / value.to_f : value / at_most.to_f
      return add(what, figure, as, "met", :met) if miss <= 1

      add(what, figure, as, format("missed, %.1fx", miss), miss <= TOLERANCE ? :missed : :failed)
    end

    # Something that is right or wrong.
    def check(what, figure, right, as:)
      add(what, figure, as, right ? "met" : "WRONG", right ? :met : :failed)
    end

    def failed? = @verdicts.include?(:failed)

    def print
      Bench.table(["what", "measured in this run", "target", ""], @rows, right: [])
      puts "", summary
    end

    private

    def add(what, figure, target, text, verdict)
      @rows << [what, figure, target, text]
      @verdicts << verdict
    end

    def summary
      return "FAILED: see the table" if failed?

      missed = @verdicts.count(:missed)
      return "all targets met" if missed.zero?

      "#{missed} of #{@verdicts.size} targets missed, none by more than #{TOLERANCE}x"
    end
  end
end
