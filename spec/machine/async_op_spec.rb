# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM::AsyncOp do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:elapsed) { -Errno::ETIME::Errno }
  let(:cancelled) { -Errno::ECANCELED::Errno }

  def state(operation) = [operation.done?, operation.result, operation.cancelled?]

  it "runs while its fiber does something else" do
    operation = machine.prep_timeout(0.002)
    expect([operation.kind, *state(operation), pending]).to eq([:timeout, false, nil, nil, 1])
    machine.sleep(0.01)
    expect([*state(operation), pending]).to eq([true, elapsed, false, 0])
  end

  it "is awaited", :gc do
    operation = machine.prep_timeout(0.001)
    expect([operation.await, *state(operation)]).to eq([elapsed, true, elapsed, false])
    expect([operation.await, operation.join]).to eq([elapsed, elapsed])
  end

  it "counts as one operation, and gives its record back" do
    operation = machine.prep_timeout(0.001)
    expect(machine.metrics.values_at(:total_ops, :ops_free)).to eq([1, 255])
    operation.await
    expect(machine.metrics.values_at(:total_ops, :ops_pending, :ops_free)).to eq([1, 0, 256])
  end

  it "ends at once for a time that is over" do
    expect([machine.prep_timeout(0).await, machine.prep_timeout(-1).await]).to eq([elapsed, elapsed])
  end

  it "lives on when nobody keeps it", :gc do
    machine.prep_timeout(0.001)
    GC.start
    operation = machine.prep_timeout(0.002)
    expect([operation.await, pending]).to eq([elapsed, 0])
  end

  it "may be one of thousands, awaited in any order" do
    operations = Array.new(2000) { |number| machine.prep_timeout((number % 7) / 1000.0) }
    expect(operations.shuffle.map(&:await).tally).to eq(elapsed => 2000)
    expect(pending).to eq(0)
  end

  describe "#cancel" do
    it "is over once the machine has looked" do
      operation = machine.prep_timeout(10)
      expect(operation.cancel).to be(operation)
      expect(state(operation)).to eq([false, nil, nil])
      snooze
      expect([*state(operation), pending]).to eq([true, cancelled, true, 0])
    end

    it "makes await raise, then and later" do
      operation = machine.prep_timeout(10)
      fiber = parked { operation.await }
      operation.cancel
      expect(machine.join(fiber)).to be_a(Errno::ECANCELED)
      expect { operation.join }.to raise_error(Errno::ECANCELED)
    end

    it "may be called before await, twice, and from the fiber that awaits it next" do
      operation = machine.prep_timeout(10)
      operation.cancel.cancel
      expect { operation.await }.to raise_error(Errno::ECANCELED)
    end

    it "changes nothing afterwards, neither for it nor for what came after it" do
      operation = machine.prep_timeout(0.001)
      operation.await
      fiber = parked { machine.sleep(0.005) }
      operation.cancel
      expect([soon { machine.join(fiber) }, operation.cancelled?]).to eq([0.005, false])
    end
  end

  describe "an interrupted await" do
    it "cancels, and raises the exception" do
      operation = machine.prep_timeout(10)
      fiber = parked { operation.await }
      machine.schedule(fiber, stop.new)
      expect([machine.join(fiber), *state(operation), pending])
        .to match([be_a(stop), true, cancelled, true, 0])
    end

    it "gives a plain value back" do
      operation = machine.prep_timeout(10)
      expect(machine.timeout(0.001, :late) { operation.await }).to eq(:late)
      expect(state(operation)).to eq([true, cancelled, true])
    end

    it "takes a timeout that fires with it in either order" do
      20.times do
        operation = machine.prep_timeout(0.001)
        result = machine.timeout(0.001, :late) { operation.await }
        expect([result, operation.done?]).to eq([elapsed, true]).or eq([:late, true])
      end
      expect(pending_after_a_turn).to eq(0)
    end

    it "is one of many that are terminated" do
      operations = Array.new(500) { machine.prep_timeout(10) }
      fibers = operations.map { |operation| machine.spin { operation.await } }
      machine.snooze
      machine.terminate(fibers)
      expect(machine.join(fibers)).to all(be_a(UM::Terminate))
      expect(operations.map(&:result).uniq).to eq([cancelled])
    end
  end

  describe "bad input" do
    it "is what is no time" do
      [nil, "1", :soon, Object.new].each do |value|
        expect { machine.prep_timeout(value) }.to raise_error(TypeError)
      end
      expect([total_ops, pending]).to eq([0, 0])
    end

    it "is a second fiber that awaits it" do
      operation = machine.prep_timeout(0.002)
      fiber = parked { operation.await }
      expect { operation.await }.to raise_error(UM::Error)
      expect(machine.join(fiber)).to eq(elapsed)
    end

    it "is another thread, which may only look" do
      operation = machine.prep_timeout(10)
      calls = [-> { operation.await }, -> { operation.cancel }]
      errors, done = Thread.new { [calls.map { |call| error_of(&call) }, operation.done?] }.value
      expect([errors, done]).to match([all(be_a(UM::Error)), false])
      operation.cancel
    end

    it "is an operation that no machine has made" do
      expect { described_class.new }.to raise_error(NoMethodError)
      expect { described_class.allocate }.to raise_error(TypeError)
      operation = machine.prep_timeout(0)
      expect { operation.dup }.to raise_error(TypeError)
      expect { operation.clone }.to raise_error(TypeError)
    end
  end
end
