# frozen_string_literal: true

require_relative "../support/ecosystem"

# Whole suites, run by a fiber of a program of their own. Their tests ask another fiber, so they only
# come to an end if waiting for an answer lets it run.
RSpec.describe "Test frameworks in a fiber" do
  before(:context) { SpecSupport::Ecosystem.add_gem("minitest") }

  # The programs' first lines. They look for libraries where this suite finds them.
  let(:head) { <<~'RUBY' }
    $LOAD_PATH.concat(ARGV.slice!(0..))
    require "socket"
    require "stringio"
    require "timeout"
    QUESTIONS, ANSWERS = Queue.new, Queue.new

    def ask(number)
      QUESTIONS << number
      ANSWERS.pop
    end

    def echo(text)
      here, there = UNIXSocket.pair
      Thread.new { there.puts(there.gets) } # a thread without a scheduler
      here.puts(text)
      here.gets
    end
  RUBY

  let(:minitest) { <<~'RUBY' }
    require "minitest"
    class Suite < Minitest::Test
      def setup = @doubled = ask(21)
      def test_asking = assert_equal(42, @doubled)
      def test_sockets = assert_equal("hello\n", echo("hello"))
      def test_timeout = assert_raises(Timeout::Error) { Timeout.timeout(0.01) { sleep } }
      def test_failing = assert_equal(43, 42)
      def test_raising = raise("on purpose")
    end
    ANSWERING = -> { 5.times { ANSWERS << QUESTIONS.pop * 2 } }
    SUITE = -> { puts(Minitest.run(%w[--no-plugins])) }
  RUBY

  let(:rspec) { <<~'RUBY' }
    require "rspec"
    RSpec::Core::Runner.disable_autorun!
    RSpec.describe "a suite" do
      let(:doubled) { ask(21) }
      around { |example| Timeout.timeout(10) { example.run } }
      it("asks") { expect(doubled).to eq(42) }
      it("has sockets") { expect(echo("hello")).to eq("hello\n") }
      it("times out") { expect { Timeout.timeout(0.01) { sleep } }.to raise_error(Timeout::Error) }
      it("fails") { expect(doubled).to eq(43) }
    end
    ANSWERING = -> { 2.times { ANSWERS << QUESTIONS.pop * 2 } }
    SUITE = -> { puts(RSpec::Core::Runner.run(%w[--options /dev/null --no-color], $stdout, $stdout)) }
  RUBY

  let(:minitest_summary) { /^5 runs, 4 assertions, 1 failures, 1 errors, 0 skips/ }
  let(:rspec_summary) { /^4 examples, 1 failure\n/ }

  # How a program runs the suite beside the fiber that answers.
  ways = {
    "under UM::FiberScheduler" => <<~RUBY,
      require "uringmachine"
      Fiber.set_scheduler(UM::FiberScheduler.new)
      Fiber.schedule(&ANSWERING)
      Fiber.schedule(&SUITE)
    RUBY
    "with Polyphony's spin" => <<~RUBY,
      require "polyphony"
      answering = spin { ANSWERING.call }
      spin { SUITE.call }.await
      answering.await
    RUBY
    "in Polyphony's root fiber" => <<~RUBY
      require "polyphony"
      spin { ANSWERING.call }
      SUITE.call
    RUBY
  }

  ways.each do |name, way|
    %i[minitest rspec].each do |framework|
      it "runs #{framework}'s suite #{name}" do
        missing = SpecSupport::Libraries.missing(framework.to_s)
        skip(missing) if missing
        outcome = ruby_program([head, send(framework), way].join, *$LOAD_PATH)
        expect(outcome.stdout).to match(send(:"#{framework}_summary"))
        expect(outcome.stdout.lines.last).to match(/\A(1|false)$/)
        expect([outcome.stderr, outcome.status.exitstatus]).to eq(["", 0])
      end
    end
  end
end
