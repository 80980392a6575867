# frozen_string_literal: true

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))

require "uringmachine"
require_relative "support/gc_mode"
require_relative "support/leak_check"
require_relative "support/ring_check"
require_relative "support/subprocess"
require_relative "support/watchdog"

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.expect_with(:rspec) { |expectations| expectations.max_formatted_output_length = 2000 }
  config.mock_with(:rspec) { |mocks| mocks.verify_partial_doubles = true }
  # bin/test runs a few files at a time, which may have none of a kind, and counts them all.
  config.fail_if_no_examples = !ENV.key?("SPEC_BATCH")
  config.filter_run_when_matching :focus unless ENV["CI"]
  Kernel.srand config.seed

  # The first one is the outermost: the time limit covers everything an example does, and
  # descriptors are counted with garbage collection in its usual mode.
  SpecSupport::Watchdog.install(config)
  SpecSupport::LeakCheck.install(config)
  SpecSupport::GCMode.install(config)
  SpecSupport::RingCheck.install(config)
  config.include SpecSupport::Subprocess
end
