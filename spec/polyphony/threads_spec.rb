# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "threads under Polyphony" do
  def value_of(text)
    outcome = ruby_program("require \"polyphony\"\n#{text}")
    expect(outcome.stderr).to eq("")
    outcome.stdout.chomp
  end

  it "are awaited in the main fiber and in others, which lets fibers run" do
    expect(value_of(<<~RUBY)).to eq("[7, 8, true, true]")
      turns = 0
      spin { loop { sleep 0.001; turns += 1 } }
      threads = [7, 8].map { |number| Thread.new { sleep 0.03; number } }
      p [threads[0].await, spin { threads[1].await }.await, turns.positive?, threads.all?(&:done?)]
    RUBY
  end

  it "raise what has ended them" do
    expect(value_of(<<~RUBY)).to eq('["failed", "failed", true]')
      thread = Thread.new { Thread.current.report_on_exception = false; raise "failed" }
      p [(thread.await rescue $!.message), spin { thread.await rescue $!.message }.await, thread.done?]
    RUBY
  end

  it "aren't done while they run" do
    expect(value_of("p Thread.new { sleep }.done?")).to eq("false")
  end

  it "keep what core gives" do
    expect(value_of(<<~RUBY)).to eq("[true, nil, 7, nil]")
      thread = Thread.new { 7 }
      waiting = Thread.new { sleep }
      p [thread.join.equal?(thread), waiting.join(0.01), thread.value, waiting.kill.value]
    RUBY
  end

  it "can have fibers of their own, with a scheduler of their own" do
    expect(value_of(<<~RUBY)).to eq('[["one", "two"], true]')
      thread = Thread.new do
        Fiber.set_scheduler(Polyphony::Scheduler.new)
        Fiber.await(%w[two one].map { |word| spin { sleep(word == "one" ? 0.001 : 0.01); word } }).reverse
      end
      p [thread.await, Fiber.scheduler.is_a?(Polyphony::Scheduler)]
    RUBY
  end
end
