# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "waiting for fibers" do
  include SpecSupport::MachineHelpers

  describe "#join" do
    it "gives the result of one fiber" do
      expect(machine.join(machine.spin { :value })).to eq(:value)
    end

    it "gives the results of several in the order of the arguments" do
      slow = machine.spin { machine.sleep(0.005) && :slow }
      fast = machine.spin { :fast }
      expect(machine.join(slow, fast)).to eq(%i[slow fast])
    end

    it "gives an array for an array, also of one" do
      expect(machine.join([machine.spin { 1 }])).to eq([1])
    end

    it "takes any Enumerable" do
      fibers = Set.new([machine.spin { 1 }, machine.spin { 2 }])
      expect(machine.join(fibers)).to eq([1, 2])
    end

    it "gives the results of an Enumerator that makes the fibers" do
      fibers = Enumerator.new { |yielder| 3.times { |number| yielder << machine.spin { number } } }
      expect(machine.join(fibers)).to eq([0, 1, 2])
    end

    it "spins procs, of arity 0 and 1" do
      expect(machine.join(-> { 1 }, ->(value) { [value] }, proc { 2 })).to eq([1, [nil], 2])
    end

    it "gives the result of one proc" do
      expect(machine.join(-> { 1 })).to eq(1)
    end

    it "gives an exception as a result and raises nothing" do
      expect(machine.join(-> { raise "boo" }, -> { 2 })).to match([an_instance_of(RuntimeError), 2])
    end

    it "has nothing to wait for without arguments" do
      expect([machine.join, machine.join([])]).to eq([[], []])
    end

    it "gives the result of a fiber that ended long ago" do
      fiber = machine.spin { :value }
      snooze
      expect(Array.new(2) { machine.join(fiber) }).to eq(%i[value value])
    end

    it "takes the same fiber twice" do
      fiber = machine.spin { machine.sleep(0.001) && 1 }
      expect(machine.join(fiber, fiber)).to eq([1, 1])
    end

    it "serves many waiters of one fiber" do
      fiber = machine.spin { machine.sleep(0.001) && 7 }
      waiters = Array.new(100) { machine.spin { machine.join(fiber) } }
      expect(machine.join(waiters)).to eq([7] * 100)
    end

    it "wakes waiters in the order in which they came" do
      log = []
      fiber = machine.spin { machine.yield }
      waiters = Array.new(5) { |number| machine.spin { machine.join(fiber) && (log << number) } }
      snooze
      machine.schedule(fiber, true)
      machine.join(waiters)
      expect(log).to eq([0, 1, 2, 3, 4])
    end

    it "leaves the fiber alone when the wait is interrupted" do
      fiber = machine.spin { machine.yield }
      expect(machine.timeout(0.001, :late) { machine.join(fiber) }).to eq(:late)
      machine.schedule(fiber, :value)
      expect(machine.join(fiber)).to eq(:value)
    end

    it "leaves nothing behind in the fiber when the wait is interrupted" do
      fiber = machine.spin { machine.yield }
      100.times { machine.timeout(0.0001, :late) { machine.join(fiber) } }
      machine.schedule(fiber, :value)
      snooze
      expect(machine.sleep(0.001)).to eq(0.001)
      expect(pending).to eq(0)
    end

    it "comes back to a timeout when a fiber waits for itself" do
      fiber = machine.spin { machine.timeout(0.001, :late) { machine.join(Fiber.current) } }
      expect(machine.join(fiber)).to eq(:late)
    end
  end

  describe "#await" do
    it "gives the number of fibers, whatever became of them" do
      expect(machine.await(-> { 1 }, -> { raise "boo" })).to eq(2)
      expect(machine.await([-> { 1 }])).to eq(1)
      expect(machine.await).to eq(0)
    end

    it "waits until the last has ended" do
      fibers = Array.new(3) { |number| machine.spin { machine.sleep(0.001 * (number + 1)) } }
      machine.await(fibers)
      expect(fibers.map(&:done?)).to eq([true, true, true])
    end

    it "raises an exception that is scheduled into the waiting fiber" do
      main = Fiber.current
      fiber = machine.spin { machine.yield }
      machine.spin { machine.schedule(main, RuntimeError.new("boo")) }
      expect { machine.await(fiber) }.to raise_error(RuntimeError, "boo")
    end
  end

  describe "#await_any" do
    it "gives the first fiber to end" do
      slow = machine.spin { machine.yield }
      fast = machine.spin { machine.sleep(0.001) }
      expect(machine.await_any(slow, fast)).to be(fast)
    end

    it "gives one that has ended already, without waiting" do
      fiber = machine.spin { 1 }
      snooze
      expect(machine.await_any(machine.spin { machine.yield }, fiber)).to be(fiber)
    end

    it "leaves nothing pending, also when it is interrupted" do
      fibers = Array.new(3) { machine.spin { machine.yield } }
      expect(machine.timeout(0.001, :late) { machine.await_any(fibers) }).to eq(:late)
      expect(pending).to eq(0)
      fibers.each { |fiber| machine.schedule(fiber, nil) }
      snooze
      expect(machine.sleep(0.001)).to eq(0.001)
    end
  end

  describe "across threads" do
    it "gives the result of a fiber of another thread" do
      fiber = machine.spin { machine.sleep(0.01) && :value }
      thread = Thread.new { described_class.new.join(fiber) }
      machine.join(fiber)
      expect(thread.value).to eq(:value)
    end

    it "gives the result of a fiber that ended before its thread" do
      fiber = Thread.new do
        other = described_class.new
        spun = other.spin { :value }
        other.join(spun) && spun
      end.value
      expect(machine.join(fiber)).to eq(:value)
    end

    it "serves waiters of several threads, of which one gives up" do
      fiber = machine.spin { machine.yield }
      threads = [0.001, 5].map do |seconds|
        Thread.new { described_class.new.then { |own| own.timeout(seconds, :late) { own.join(fiber) } } }
      end
      machine.sleep(0.002) while threads.first.alive?
      machine.schedule(fiber, :value)
      machine.join(fiber)
      expect(threads.map(&:value)).to eq(%i[late value])
    end

    it "serves waiters of eight threads at once" do
      fibers = Array.new(20) { machine.spin { machine.sleep(0.005) && 1 } }
      threads = Array.new(8) { Thread.new { described_class.new.join(fibers) } }
      machine.join(fibers)
      expect(threads.map(&:value)).to eq([[1] * 20] * 8)
    end
  end
end
