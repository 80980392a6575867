# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe "sleep and Timeout under Polyphony" do
  def output_of(text)
    outcome = ruby_program("require 'polyphony'\n#{text}")
    expect(outcome).to be_success, outcome.stderr
    outcome.stdout.lines(chomp: true)
  end

  # The same in the root fiber and in another one.
  def everywhere(text)
    output_of("body = proc do\n#{text}\nend\nbody.call\nspin { body.call }.await")
  end

  describe "sleep" do
    it "gives the seconds that have passed, and lets others run" do
      expect(everywhere(<<~RUBY)).to eq(%w[[true,0] [true,0]])
        turns = 0
        fiber = spin { loop { turns += 1; sleep 0.0005 } }
        slept = sleep(0.01) until turns > 1
        puts [turns > 1, slept].inspect.delete(" ")
        Polyphony.machine.schedule(fiber, Polyphony::Terminate.new)
      RUBY
    end

    it "lets others run once with 0" do
      expect(everywhere(<<~RUBY)).to eq(%w[[0,1] [0,1]])
        turns = 0
        spin { turns += 1 }
        puts [sleep(0), turns].inspect.delete(" ")
      RUBY
    end

    it "ends when the fiber is scheduled, with what it is scheduled with" do
      expect(everywhere(<<~RUBY)).to eq(%w[:value 0] * 2)
        fiber = Fiber.current
        spin { Polyphony.machine.schedule(fiber, :value) }
        p sleep
        spin { Polyphony.machine.schedule(fiber, nil) }
        p sleep(nil)
      RUBY
    end

    it "can be called as Kernel.sleep, and on no object" do
      expect(everywhere(<<~RUBY)).to eq(["0", "NoMethodError"] * 2)
        p Kernel.sleep(0.001)
        Object.new.sleep(0.001) rescue p $!.class
      RUBY
    end

    it "refuses what core's refuses" do
      expect(everywhere(<<~RUBY)).to eq(%w[ArgumentError TypeError ArgumentError] * 2)
        [[-1], ["1"], [1, 2]].each { |args| sleep(*args) rescue p $!.class }
      RUBY
    end

    it "is core's in a thread without a scheduler" do
      expect(output_of(<<~RUBY)).to eq(%w[0 TypeError])
        Thread.new { p sleep(0.001); sleep("1") rescue p $!.class }.join
      RUBY
    end
  end

  describe "Timeout.timeout" do
    it "raises where the fiber waits, and in no other" do
      expect(everywhere(<<~RUBY)).to eq(["execution expired", "given", "ArgumentError", "5"] * 2)
        # Another fiber is busy when the time is up.
        busy = spin { loop { snooze } }
        Timeout.timeout(0.005) { sleep } rescue puts $!.message
        Timeout.timeout(0.001, ArgumentError, "given") { sleep } rescue puts $!.message
        Timeout.timeout(0.001, ArgumentError) { sleep } rescue p $!.class
        p Timeout.timeout(5) { |seconds| seconds }
        Polyphony.machine.schedule(busy, Polyphony::Terminate.new)
      RUBY
    end

    it "has no limit with 0 or nil" do
      expect(everywhere(<<~RUBY)).to eq(%w[0 nil] * 2)
        [0, nil].each { |seconds| p Timeout.timeout(seconds) { |given| sleep(0.001) && given } }
      RUBY
    end

    it "refuses what is negative, where Ruby's own does" do
      result = RUBY_VERSION < "3.4" ? "nil" : "ArgumentError"
      expect(everywhere(<<~RUBY)).to eq([result] * 2)
        p(Timeout.timeout(-1) { nil }) rescue p $!.class
      RUBY
    end

    it "is over with its block" do
      expect(everywhere("Timeout.timeout(0.001) { 1 }\np sleep(0.005)")).to eq(%w[0 0])
    end
  end

  it "cancels core calls in the root fiber" do
    expect(output_of(<<~RUBY)).to eq(["Polyphony::Cancel", ":late", '"x"'])
      reader, writer = IO.pipe
      begin
        cancel_after(0.005) { reader.read(1) }
      rescue Polyphony::Cancel => e
        p e.class
      end
      p move_on_after(0.005, with_value: :late) { Thread.new { sleep }.join }
      writer << "x"
      p reader.readpartial(1)
    RUBY
  end
end
