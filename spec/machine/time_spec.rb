# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "time" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:log) { [] }

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def compute(seconds)
    limit = now + seconds
    nil while now < limit
  end

  describe "#sleep" do
    it "returns the duration as a Float, after that time" do
      start = now
      expect(machine.sleep(0.01)).to eq(0.01)
      expect(now - start).to be >= 0.01
    end

    it "takes any real number" do
      expect([machine.sleep(1r / 1000), machine.sleep(0.001)]).to eq([0.001, 0.001])
    end

    it "sleeps for ever with 0 or less" do
      fibers = [0, -1, -0.5].map { |seconds| machine.spin { machine.sleep(seconds) } }
      machine.sleep(0.01)
      expect(fibers.map(&:done?)).to eq([nil, nil, nil])
    end

    it "wakes each of many sleepers while others are terminated" do
      durations = Array.new(400) { |index| (index % 3).zero? ? Float::INFINITY : 0.001 * (1 + (index % 7)) }
      fibers = durations.map { |duration| machine.spin { machine.sleep(duration) } }
      machine.sleep(0.002)
      machine.terminate(fibers.zip(durations).filter_map { |fiber, duration| fiber if duration.infinite? })
      results = machine.join(fibers).map { |result| result.is_a?(UM::Terminate) ? Float::INFINITY : result }
      expect(results).to eq(durations)
    end

    it "takes durations beyond any clock" do
      fibers = [Float::INFINITY, 1e30, 2**40].map { |seconds| machine.spin { machine.sleep(seconds) } }
      machine.sleep(0.01)
      expect(fibers.map(&:done?)).to eq([nil, nil, nil])
    end

    it "returns the object that it is interrupted with" do
      object = Object.new
      fiber = parked { machine.sleep(0) }
      machine.schedule(fiber, object)
      expect(machine.join(fiber)).to be(object)
    end

    it "wakes fibers by deadline" do
      [0.2, 0.001, 0.1].each { |seconds| machine.spin { log << machine.sleep(seconds) } }
      machine.sleep(0.3)
      expect(log).to eq([0.001, 0.1, 0.2])
    end

    it "serves thousands of sleepers" do
      fibers = Array.new(5000) { |number| machine.spin { machine.sleep(0.001 + ((number % 7) * 0.001)) } }
      expect(machine.await(fibers)).to eq(5000)
      expect(pending).to eq(0)
    end

    it "works in the main fiber alone" do
      expect(described_class.new.sleep(0.001)).to eq(0.001)
    end
  end

  describe "#timeout" do
    it "gives the block's value" do
      expect(machine.timeout(10, stop) { :value }).to eq(:value)
      expect(pending_after_a_turn).to eq(0)
    end

    it "raises an instance of a class" do
      expect { machine.timeout(0.001, stop) { machine.sleep(0) } }.to raise_error(stop)
    end

    it "raises the given instance" do
      error = stop.new("mine")
      expect(error_of { machine.timeout(0.001, error) { machine.sleep(0) } }).to be(error)
    end

    it "makes the interrupted call return a plain value" do
      expect(machine.timeout(0.001, :late) { [machine.sleep(0)] }).to eq([:late])
    end

    it "makes the interrupted call return nil" do
      expect(machine.timeout(0.001, nil) { [machine.sleep(0)] }).to eq([nil])
    end

    it "passes the block's exception on" do
      expect { machine.timeout(10, stop) { raise "boo" } }.to raise_error(RuntimeError, "boo")
      expect(pending_after_a_turn).to eq(0)
    end

    it "is left by break and throw" do
      expect(machine.timeout(10, stop) { break :broken }).to eq(:broken)
      expect(catch(:ball) { machine.timeout(10, stop) { throw :ball, :caught } }).to eq(:caught)
      expect(pending_after_a_turn).to eq(0)
    end

    it "is due at once with 0 or less" do
      [0, -1].each { |seconds| expect(machine.timeout(seconds, :late) { machine.sleep(0) }).to eq(:late) }
    end

    it "interrupts at the next wait when it ran out during a computation" do
      expect { machine.timeout(0.001, stop) { compute(0.01) || machine.sleep(0) } }.to raise_error(stop)
    end

    it "lets a block that never waits finish" do
      expect(machine.timeout(0.001, stop) { compute(0.01) || :value }).to eq(:value)
    end

    it "doesn't fire into a later operation" do
      machine.timeout(0.001, stop) { compute(0.01) }
      expect(machine.sleep(0.01)).to eq(0.01)
      expect(machine.snooze).to be_nil
    end

    it "doesn't fire into a later operation when it came due beside a completion" do
      reader, writer = pipe
      machine.write(writer, "x" * 100)
      100.times do
        result = machine.timeout(0.0001, :late) { machine.read(reader, +"", 1) }
        expect([1, :late]).to include(result)
        expect(machine.sleep(0.0001)).to eq(0.0001)
      end
    end

    it "lets the fiber use the machine while it unwinds" do
      expect do
        machine.timeout(0.001, stop) do
          machine.sleep(0)
        ensure
          log << machine.sleep(0.002)
        end
      end.to raise_error(stop)
      expect(log).to eq([0.002])
    end

    it "raises what making the exception raises" do
      picky = Class.new(StandardError) { def initialize(needed) = super(needed.to_s) }
      expect { machine.timeout(0.001, picky) { machine.sleep(0) } }.to raise_error(ArgumentError)
    end

    it "concerns the fiber that set it only" do
      other = machine.spin { machine.sleep(0.01) }
      fiber = machine.spin { machine.timeout(0.001, :late) { machine.sleep(0) } }
      expect(machine.join(other, fiber)).to eq([0.01, :late])
    end

    it "serves many fibers at once" do
      fibers = Array.new(500) { |number| machine.spin { machine.timeout(0.001, number) { machine.yield } } }
      expect(machine.join(fibers)).to eq((0...500).to_a)
    end
  end

  describe "nested timeouts" do
    let(:outer) { Class.new(StandardError) }
    let(:inner) { Class.new(StandardError) }

    def nested_timeouts(first, second)
      machine.timeout(first, outer) { machine.timeout(second, inner) { yield } } # rubocop:disable Style/ExplicitBlockArgument
    end

    it "let the inner one win when it is due first" do
      expect { nested_timeouts(10, 0.001) { machine.sleep(0) } }.to raise_error(inner)
      expect(pending_after_a_turn).to eq(0)
    end

    it "let the outer one win when it is due first" do
      expect { nested_timeouts(0.001, 10) { machine.sleep(0) } }.to raise_error(outer)
      expect(pending_after_a_turn).to eq(0)
    end

    it "let the outer one fire after the inner one was handled" do
      expect do
        machine.timeout(0.02, outer) do
          expect(machine.timeout(0.001, :late) { machine.sleep(0) }).to eq(:late)
          machine.sleep(0)
        end
      end.to raise_error(outer)
    end

    [true, false].each do |reading|
      it "fire once when both are due, #{reading ? "in a read" : "in a sleep"}" do
        reader, = pipe
        error = error_of do
          nested_timeouts(0.001, 0.001) do
            compute(0.01)
            reading ? machine.read(reader, +"", 10) : machine.sleep(0)
          end
        end
        expect([inner, outer]).to include(error.class)
        expect([machine.sleep(0.001), machine.snooze, pending]).to eq([0.001, nil, 0])
      end
    end

    it "deliver the outer one to a later wait in its own block when both came due in a read" do
      reader, = pipe
      expect do
        machine.timeout(0.001, outer) do
          begin
            machine.timeout(0.001, inner) { compute(0.01) || machine.read(reader, +"", 10) }
          rescue inner
            log << :inner
          end
          machine.sleep(0)
        end
      end.to raise_error(outer)
      expect([machine.sleep(0.001), pending]).to eq([0.001, 0])
    end

    it "leave nothing behind, a hundred deep" do
      body = lambda do |depth|
        depth.zero? ? machine.sleep(0) : machine.timeout(depth, stop) { body.call(depth - 1) }
      end
      expect(machine.timeout(0.001, :late) { body.call(100) }).to eq(:late)
      expect(pending_after_a_turn).to eq(0)
    end
  end

  describe "#periodically" do
    it "calls the block until it is left by break" do
      count = 0
      expect(machine.periodically(0.001) { break :left if (count += 1) == 5 }).to eq(:left)
      expect([count, pending]).to eq([5, 0])
    end

    it "is left by the block's exception" do
      expect { machine.periodically(0.001) { raise stop } }.to raise_error(stop)
      expect(pending).to eq(0)
    end

    it "is left by a timeout" do
      expect { machine.timeout(0.02, stop) { machine.periodically(0.001) { log << 1 } } }.to raise_error(stop)
      expect(pending_after_a_turn).to eq(0)
    end

    it "makes up for turns that came too late: it doesn't drift" do
      start = now
      count = 0
      machine.periodically(0.01) do
        compute(0.035) if (count += 1) == 1
        break if count == 5
      end
      # Five turns from the start, not five after the long one (a machine under load may be late).
      expect(now - start).to be_between(0.05, 10)
      expect(count).to eq(5)
    end

    it "lets others run, however short the interval" do
      other = machine.spin { 100.times { machine.snooze } && :done }
      machine.periodically(1e-9) { break if other.done? }
      expect(other.result).to eq(:done)
    end
  end
end
