# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "fibers" do
  include SpecSupport::MachineHelpers
  include SpecSupport::Subprocess

  let(:log) { [] }

  describe "#spin" do
    it "runs the block only when the caller lets others run" do
      machine.spin { log << :spun }
      log << :caller
      machine.snooze
      expect(log).to eq(%i[caller spun])
    end

    it "gives the value to the block" do
      expect(machine.join(machine.spin(42) { |value| value + 1 })).to eq(43)
    end

    it "takes a lambda without parameters" do
      expect(machine.join(machine.spin(42, &-> { :fine }))).to eq(:fine)
    end

    it "makes a non-blocking fiber" do
      expect(machine.join(machine.spin { Fiber.current.blocking? })).to be(false)
    end

    it "makes a fiber of the class that is asked for" do
      klass = Class.new(Fiber)
      fiber = machine.spin(1, klass) { |value| [Fiber.current.class, value] }
      expect(fiber).to be_a(klass)
      expect(machine.join(fiber)).to eq([klass, 1])
    end

    it "works in spun fibers, at any depth" do
      deepest = proc { |level| level.zero? ? :bottom : machine.join(machine.spin(level - 1, &deepest)) }
      expect(machine.join(machine.spin(50, &deepest))).to eq(:bottom)
    end

    it "lets a spun fiber outlive the one that spun it" do
      machine.spin { machine.spin { log << :inner } }
      snooze
      expect(log).to eq([:inner])
    end

    it "makes ten thousand fibers that all come to their end" do
      fibers = Array.new(10_000) { |number| machine.spin { (machine.snooze && nil) || number } }
      expect(machine.join(fibers)).to eq((0...10_000).to_a)
    end
  end

  describe "the end of a fiber" do
    it "stores the block's value" do
      fiber = machine.spin { :value }
      expect([fiber.result, fiber.done?]).to eq([nil, nil])
      machine.snooze
      expect([fiber.result, fiber.done?]).to eq([:value, true])
    end

    it "stores an exception, and nobody else gets it" do
      fiber = machine.spin { raise "boo" }
      machine.snooze
      expect(fiber.result).to be_a(RuntimeError).and have_attributes(message: "boo")
    end

    it "stores the exception of an uncaught throw" do
      fiber = machine.spin { throw :nobody }
      machine.snooze
      expect(fiber.result).to be_a(UncaughtThrowError)
    end

    it "stores the exception of a break that has nowhere to go" do
      fiber = machine.spin { break }
      machine.snooze
      expect(fiber.result).to be_a(LocalJumpError)
    end

    it "stores a deep recursion's exception" do
      fiber = machine.spin { (dive = -> { dive.call + 1 }).call }
      machine.snooze
      expect(fiber.result).to be_a(SystemStackError)
    end

    it "leaves the fiber dead and out of the set" do
      fiber = machine.spin { nil }
      expect([fiber.alive?, machine.fiber_set.to_a]).to eq([true, [fiber]])
      machine.snooze
      expect([fiber.alive?, machine.fiber_set.to_a]).to eq([false, []])
    end

    it "leaves $! alone" do
      fiber = machine.spin { raise "boo" }
      machine.schedule(fiber, 1)
      machine.schedule(fiber, RuntimeError.new)
      snooze
      expect($!).to be_nil # rubocop:disable Style/SpecialGlobalVars
    end

    it "gives a fiber that was not spun neither a result nor an end" do
      fiber = Fiber.new { :value }
      fiber.resume
      expect([fiber.result, fiber.done?]).to eq([nil, nil])
    end

    it "is reached by Fiber#kill, with ensure blocks run and nothing pending" do
      reader, = pipe
      fiber = parked { machine.read(reader, +"", 10).then { nil } }
      other = parked { machine.sleep(0).then { nil } }
      guarded = parked do
        machine.sleep(0)
      ensure
        log << machine.sleep(0.001)
      end
      [fiber, other, guarded].each { |victim| soon { victim.kill } }
      settle
      expect([fiber, other, guarded].map(&:alive?)).to all(be(false))
      expect([log, pending, machine.fiber_set.size]).to eq([[0.001], 0, 0])
    end
  end

  describe "the runqueue" do
    it "is first in, first out" do
      5.times { |number| machine.spin { log << number } }
      machine.snooze
      expect(log).to eq([0, 1, 2, 3, 4])
    end

    it "puts a fiber that snoozes behind those already queued" do
      %w[a b].each { |name| machine.spin { 3.times { |turn| (log << "#{name}#{turn}") && machine.snooze } } }
      snooze(4)
      expect(log).to eq(%w[a0 b0 a1 b1 a2 b2])
    end

    it "runs what a fiber schedules after those already queued" do
      machine.spin { machine.spin { log << :late } }
      machine.spin { log << :early }
      snooze
      expect(log).to eq(%i[early late])
    end

    it "keeps scheduled values in order across fibers" do
      fibers = Array.new(3) { |number| machine.spin { log << [number, machine.yield] } }
      machine.snooze
      fibers.reverse.each_with_index { |fiber, index| machine.schedule(fiber, index) }
      machine.snooze
      expect(log).to eq([[2, 0], [1, 1], [0, 2]])
    end
  end

  describe "#schedule" do
    it "returns the machine" do
      expect(machine.schedule(Fiber.current, nil)).to be(machine)
      machine.yield
    end

    it "makes the waiting call return the value" do
      fiber = parked { machine.yield }
      machine.schedule(fiber, :hello)
      expect(machine.join(fiber)).to eq(:hello)
    end

    it "raises an exception where the fiber waits, the very object" do
      fiber = parked { machine.yield }
      error = RuntimeError.new("boo")
      machine.schedule(fiber, error)
      expect(machine.join(fiber)).to be(error)
      expect(error.backtrace.join("\n")).to include(__FILE__)
    end

    it "returns an exception's class as a value" do
      fiber = parked { machine.yield }
      machine.schedule(fiber, RuntimeError)
      expect(machine.join(fiber)).to be(RuntimeError)
    end

    it "resumes twice when called twice" do
      fiber = parked { [machine.yield, machine.yield] }
      machine.schedule(fiber, 1)
      machine.schedule(fiber, 2)
      expect(machine.join(fiber)).to eq([1, 2])
    end

    it "loses no exception when two come at once" do
      fiber = parked do
        Array.new(2) do
          machine.yield
        rescue RuntimeError => e
          e.message
        end
      end
      machine.schedule(fiber, RuntimeError.new("one"))
      machine.schedule(fiber, RuntimeError.new("two"))
      expect(machine.join(fiber)).to eq(%w[one two])
    end

    it "gives the first value to the block, even an exception" do
      error = RuntimeError.new("boo")
      expect(machine.join(machine.spin(error) { |value| [value] })).to eq([error])
    end

    it "gives the first value to the block of a plain Fiber, even an exception" do
      error = RuntimeError.new("boo")
      fiber = Fiber.new do |value|
        log << value
        machine.switch
      end
      machine.schedule(fiber, error)
      machine.snooze
      expect(log).to eq([error])
    end

    it "is void for a fiber that has ended" do
      fiber = machine.spin { :value }
      snooze
      machine.schedule(fiber, :more)
      machine.schedule(fiber, RuntimeError.new)
      snooze
      expect([fiber.result, machine.metrics[:ops_runqueue]]).to eq([:value, 0])
    end

    it "reaches the running fiber at its next wait" do
      machine.schedule(Fiber.current, :for_me)
      expect(machine.yield).to eq(:for_me)
    end

    it "raises in the running fiber at its next wait" do
      machine.schedule(Fiber.current, described_class::Terminate.new)
      expect { machine.sleep(0) }.to raise_error(described_class::Terminate)
      expect(pending).to eq(0)
    end
  end

  describe "#snooze, #yield and #switch" do
    it "snooze returns nil at once when nobody else is runnable" do
      expect(machine.snooze).to be_nil
    end

    it "snooze returns a value that was scheduled before" do
      fiber = machine.spin { machine.snooze }
      machine.schedule(fiber, :early)
      expect(machine.join(fiber)).to eq(:early)
    end

    it "yield waits for a schedule, whatever completes meanwhile" do
      reader, writer = pipe
      machine.spin { machine.read(reader, +"", 1) }
      fiber = parked { machine.yield }
      machine.write(writer, "x")
      snooze(10)
      expect(fiber.done?).to be_nil
      machine.schedule(fiber, :now)
      expect(machine.join(fiber)).to eq(:now)
    end

    it "switch parks a plain Fiber that has nothing more to do" do
      fiber = Fiber.new do
        log << machine.switch
        machine.switch
      end
      machine.schedule(fiber, nil)
      snooze
      machine.schedule(fiber, :again)
      snooze
      expect([log, fiber.alive?]).to eq([[:again], true])
    end

    it "shows who waits in pending_fibers" do
      yielding = parked { machine.yield }
      sleeping = parked { machine.sleep(0) }
      expect(machine.pending_fibers).to contain_exactly(yielding, sleeping)
    end
  end

  describe "#run" do
    it "runs the block in the running fiber, as the body of the fiber" do
      fiber = Fiber.new do
        machine.run(fiber) { (log << Fiber.current) && :value }
        machine.switch
      end
      machine.schedule(fiber, nil)
      snooze
      expect(log).to eq([fiber])
      expect([fiber.result, fiber.done?]).to eq([:value, true])
    end

    it "keeps an exception as the fiber's result" do
      fiber = Fiber.new do
        machine.run(fiber) { raise "boo" }
        machine.switch
      end
      machine.schedule(fiber, nil)
      snooze
      expect(fiber.result).to be_a(RuntimeError)
    end
  end

  describe "#terminate" do
    let(:fibers) { Array.new(3) { machine.spin { machine.sleep(0) } } }

    before do
      fibers
      snooze
    end

    it "ends fibers given one by one" do
      machine.terminate(*fibers)
      expect(machine.join(fibers)).to all(be_a(described_class::Terminate))
    end

    it "ends the fibers of an Enumerable" do
      machine.terminate(fibers.each)
      expect(machine.join(fibers)).to all(be_a(described_class::Terminate))
    end

    it "takes an Array whose class has a dup of its own" do
      list = Class.new(Array) { def dup = 5 }.new(fibers)
      given = Object.new.tap { |object| object.define_singleton_method(:to_a) { list } }
      machine.terminate(given)
      expect(machine.join(fibers)).to all(be_a(described_class::Terminate))
    end

    it "is not caught by a plain rescue" do
      fiber = parked do
        machine.sleep(0)
      rescue StandardError
        :caught
      end
      machine.terminate(fiber)
      expect(machine.join(fiber)).to be_a(described_class::Terminate)
    end

    it "leaves a fiber that has ended as it was" do
      fiber = machine.spin { :value }
      snooze
      machine.terminate(fiber)
      snooze
      expect(fiber.result).to eq(:value)
    end

    it "reaches a fiber that has not begun at its first wait" do
      fiber = machine.spin { (log << :begun) && machine.sleep(0) }
      machine.terminate(fiber)
      expect(machine.join(fiber)).to be_a(described_class::Terminate)
      expect(log).to eq([:begun])
    end
  end

  describe "fibers resumed by hand" do
    it "may use the machine in a Fiber started by resume" do
      reader, writer = pipe
      machine.spin { machine.write(writer, "hello") }
      fiber = Fiber.new { (+"").tap { |buffer| machine.read(reader, buffer, 10) } }
      expect(fiber.resume).to eq("hello")
    end

    it "may use the machine between Fiber.yield and resume" do
      fiber = Fiber.new do
        Fiber.yield machine.sleep(0.001)
        machine.sleep(0.002)
      end
      expect([fiber.resume, fiber.resume, fiber.alive?]).to eq([0.001, 0.002, false])
    end

    it "may use the machine in an Enumerator with external next" do
      reader, writer = pipe
      machine.spin { 3.times { |number| machine.write(writer, number.to_s) && machine.sleep(0.001) } }
      numbers = Enumerator.new do |yielder|
        3.times { yielder << (+"").tap { |buffer| machine.read(reader, buffer, 1) } }
      end
      expect(Array.new(3) { numbers.next }).to eq(%w[0 1 2])
    end

    it "lets other fibers run while an Enumerator's next waits" do
      machine.spin { 3.times { (log << :other) && machine.snooze } }
      enumerator = Enumerator.new { |yielder| yielder << machine.sleep(0.01) }
      expect([enumerator.next, log]).to eq([0.01, %i[other other other]])
    end

    it "may use an Enumerator in a spun fiber while others run" do
      fibers = Array.new(10) do |number|
        machine.spin do
          enumerator = Enumerator.new do |to|
            5.times { |turn| machine.snooze || to.yield(number * turn) }
          end
          Array.new(5) { enumerator.next }
        end
      end
      expect(machine.join(fibers)).to eq(Array.new(10) { |number| Array.new(5) { |turn| number * turn } })
    end

    it "comes back from next with the Enumerator's value, whatever was scheduled meanwhile" do
      main = Fiber.current
      machine.spin { machine.schedule(main, :stray) }
      enumerator = Enumerator.new { |yielder| yielder << machine.sleep(0.01) }
      expect(enumerator.next).to eq(0.01)
    end

    it "delivers a timeout's exception through an Enumerator's next" do
      enumerator = Enumerator.new { |yielder| yielder << machine.sleep(1) }
      expect { machine.timeout(0.001, RuntimeError) { enumerator.next } }.to raise_error(RuntimeError)
      expect(pending_after_a_turn).to eq(0)
    end

    it "delivers a timeout's exception to a Fiber started by resume" do
      fiber = Fiber.new { machine.sleep(1) }
      expect { machine.timeout(0.001, RuntimeError) { fiber.resume } }.to raise_error(RuntimeError)
      expect(fiber.alive?).to be(false)
    end
  end

  describe "Fiber#raise" do
    it "raises where the fiber waits" do
      fiber = parked { machine.sleep(0) }
      soon { fiber.raise(ArgumentError, "boo") }
      expect(machine.join(fiber)).to be_a(ArgumentError).and have_attributes(message: "boo")
    end

    it "lets the fiber use the machine to clean up" do
      fiber = parked do
        machine.sleep(0)
      rescue RuntimeError
        machine.sleep(0.001)
      end
      soon { fiber.raise("boo") }
      expect(machine.join(fiber)).to eq(0.001)
    end

    it "works between spun fibers" do
      victim = parked { machine.sleep(0) }
      raiser = machine.spin do
        machine.schedule(Fiber.current, nil)
        victim.raise("boo")
        :went_on
      end
      expect(soon { machine.join(victim) }).to be_a(RuntimeError)
      expect(soon { machine.join(raiser) }).to eq(:went_on)
    end
  end

  describe "fairness" do
    before { 2.times { machine.spin { loop { machine.snooze } } } }

    it "lets timers fire while two fibers only snooze" do
      expect(machine.sleep(0.005)).to eq(0.005)
    end

    it "lets timeouts fire while two fibers only snooze" do
      expect(machine.timeout(0.005, :late) { machine.yield }).to eq(:late)
    end

    it "lets I/O happen while two fibers only snooze" do
      reader, writer = pipe
      fiber = machine.spin { machine.read(reader, +"", 10) }
      snooze
      machine.write(writer, "hello")
      expect(machine.join(fiber)).to eq(5)
    end

    it "lets a wake from another thread happen while two fibers only snooze" do
      fiber = machine.spin { machine.yield }
      snooze
      Thread.new { machine.schedule(fiber, :woken) }
      expect(machine.join(fiber)).to eq(:woken)
    end
  end

  it "ends a program whose fibers wait, without a word" do
    outcome = ruby_program(<<~RUBY)
      require "uringmachine"
      machine = UM.new
      reader, = UM.pipe
      machine.spin { machine.read(reader, +"", 10) }
      machine.spin { machine.sleep(0) }
      machine.spin { Enumerator.new { machine.sleep(0) }.next }
      5.times { machine.snooze }
      puts "end"
    RUBY
    expect([outcome.status.exitstatus, outcome.stdout, outcome.stderr]).to eq([0, "end\n", ""])
  end

  it "serves two machines on one thread" do
    other = described_class.new
    fiber = other.spin { other.sleep(0.001) }
    mine = machine.spin { machine.sleep(0.001) }
    expect([other.join(fiber), machine.join(mine)]).to eq([0.001, 0.001])
  end
end
