# frozen_string_literal: true

# Nothing in lib/ makes `ruby -w` complain.
RSpec.describe "ruby -w" do
  lib = SpecSupport::Subprocess::LIB
  # All of Ruby's, but for what the features of others make of it.
  define_method(:warnings_of) do |program|
    outcome = ruby_program("$VERBOSE = true\n#{program}", timeout: 20)
    expect(outcome).to be_success, outcome.to_s
    outcome.stderr
  end

  %w[
    polyphony polyphony-rs uringmachine uringmachine/actor uringmachine/rack_server
    uringmachine/scheduler_contract uringmachine/selector
  ].each do |feature|
    it "has nothing to say about #{feature}" do
      expect(warnings_of("require #{feature.inspect}")).to eq("")
    end
  end

  features = Dir.glob("**/*.rb", base: lib).map { |path| path.delete_suffix(".rb") }.sort

  %w[uringmachine polyphony].each do |first|
    it "has nothing to say about all files together, #{first} first" do
      expect(warnings_of("[#{first.inspect}, *#{features}].each { |feature| require feature }")).to eq("")
    end
  end
end
