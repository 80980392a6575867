# frozen_string_literal: true

require_relative "../support/polyphony"

# spec/stress/descriptors.rb, on a small scale. `STRESS_SEED=…` runs that one again.
RSpec.describe "connections of all kinds, disturbed at random", :polyphony, leak_check: false do
  program = "load #{File.expand_path("../stress/descriptors.rb", __dir__).inspect}; " \
            "exit DescriptorStress::Program.new(ARGV).call"

  [15, Integer(ENV.fetch("STRESS_SEED", RSpec.configuration.seed))].each do |seed|
    it "get their own bytes, all of them, and leave nothing (seed #{seed})", time_limit: 150 do
      outcome = ruby_program(program, "--seed", seed, "--connections", 300, timeout: 120)
      expect(outcome).to be_success, "#{outcome.stdout}#{outcome.stderr}"
      expect(outcome.stdout).to match(/^seed #{seed}: \d+ connections in .* 0 faults/)
    end
  end
end
