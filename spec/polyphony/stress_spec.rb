# frozen_string_literal: true

require_relative "../support/polyphony"
require_relative "../support/random_tree"

# Trees of fibers that do anything they may do with each other, at random. `STRESS_TREES=1000` runs
# more of them, `STRESS_SEED=…` one again.
RSpec.describe "random trees of fibers", :polyphony do
  count = Integer(ENV.fetch("STRESS_TREES", 200))
  seed = Integer(ENV.fetch("STRESS_SEED", RSpec.configuration.seed))

  def run(seed) = SpecSupport::RandomTree.new(seed, only_failure: seed.odd?).run

  def check(tree)
    expect(tree.complaints).to eq([])
    expect(tree.left).to eq([])
    expect(tree.lost).to eq([])
    expect(Fiber.current.children).to eq([])
    expect(Polyphony.machine.fiber_set).to be_empty
    expect(Polyphony.machine.metrics.values_at(:ops_pending, :ops_runqueue)).to eq([0, 0])
  end

  # What is still on its way to fibers that have ended, and timers that were left early.
  def settle
    3.times { snooze }
    Polyphony.machine.sleep(0.001)
    snooze
  end

  it "end without a trace", time_limit: 60 + count do
    count.times do |number|
      tree = run(seed + number)
      settle
      check(tree)
    rescue Exception # rubocop:disable Lint/RescueException
      warn "\nSTRESS_SEED=#{seed + number} STRESS_TREES=1 shows it again"
      raise
    end
  end
end
