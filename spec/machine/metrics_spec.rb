# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "metrics" do
  include SpecSupport::MachineHelpers

  let(:names) do
    %i[size total_ops total_switches total_waits ops_pending ops_unsubmitted ops_runqueue ops_free
       ops_transient buffers_allocated buffers_free segments_free buffer_space_allocated
       buffer_space_commited]
  end

  def ops
    names = %i[ops_pending ops_unsubmitted ops_runqueue ops_free ops_transient]
    machine.metrics.values_at(*names)
  end

  it "are all 0 on a fresh machine but for the size, in the documented order" do
    expect(machine.metrics).to eq(names.to_h { |name| [name, 0] }.merge(size: 4096))
    expect(machine.metrics.keys).to eq(names)
  end

  it "give the size that was asked for" do
    small = described_class.new(size: 13)
    expect([small.size, small.metrics[:size]]).to eq([13, 13])
  end

  it "count a fiber that was spun as an entry of the runqueue" do
    machine.spin { machine.sleep(0) }
    expect(ops).to eq([0, 0, 1, 255, 0])
    machine.snooze
    expect(ops).to eq([1, 0, 0, 255, 0])
  end

  it "count what the kernel has not got yet" do
    reader, = pipe
    machine.spin { machine.read(reader, +"", 10) }
    machine.snooze
    expect(ops).to eq([1, 1, 0, 255, 0])
    expect(machine.submit).to eq(1)
    expect(machine.submit).to eq(0)
    expect(ops).to eq([1, 0, 0, 255, 0])
  end

  it "give records back" do
    machine.join(Array.new(300) { machine.spin { machine.sleep(0.001) } })
    expect(ops).to eq([0, 0, 0, 512, 0])
  end

  it "count each operation once" do
    reader, writer = pipe
    fd = machine.open(file("x"), File::RDONLY)
    expect(total_ops).to eq(1)
    machine.close(fd)
    expect(total_ops).to eq(2)
    machine.write(writer, "x")
    machine.read(reader, +"", 1)
    expect(total_ops).to eq(4)
    machine.sleep(0.001)
    machine.poll(writer, SpecSupport::MachineHelpers::POLLOUT)
    expect(total_ops).to eq(6)
  end

  it "count no operation that was refused" do
    expect { machine.read(0, :no_buffer, 1) }.to raise_error(described_class::Error)
    expect(machine.metrics.except(:size).values).to all(eq(0))
  end

  it "count operations that failed" do
    expect { machine.read(-1, +"", 1) }.to raise_error(Errno::EBADF)
    expect([total_ops, pending]).to eq([1, 0])
  end

  it "count every turn, also the caller's own" do
    machine.snooze
    expect(machine.metrics[:total_switches]).to eq(1)
    machine.spin { nil }
    machine.snooze
    expect(machine.metrics[:total_switches]).to eq(3)
  end

  it "count turns as fibers come and go" do
    snoozing = machine.spin { 3.times { machine.snooze } }
    sleeping = machine.spin { machine.sleep(0.001) }
    turns = [-> { machine.snooze }, -> { machine.snooze }, -> { machine.join(snoozing, sleeping) }]
    expect(turns.map { |turn| turn.call.then { machine.metrics[:total_switches] } }).to eq([3, 5, 9])
  end

  it "don't count an entry of the runqueue whose fiber has gone on meanwhile" do
    queue = UM::Queue.new
    fiber = parked { machine.shift(queue) }
    before = machine.metrics[:total_switches]
    machine.schedule(fiber, :interrupted)
    machine.push(queue, :item)
    machine.snooze
    expect(machine.metrics[:total_switches] - before).to eq(2)
    expect([fiber.result, *ops.first(3)]).to eq([:interrupted, 0, 0, 0])
  end

  it "count a look at the ring as a wait, also where nothing has to be waited for" do
    machine.snooze
    expect(machine.metrics[:total_waits]).to eq(0)
    machine.test_mode = true
    machine.snooze
    expect(machine.metrics[:total_waits]).to eq(1)
    machine.sleep(0.001)
    expect(machine.metrics[:total_waits]).to be > 1
  end

  it "count a wait in a queue or for a mutex, but not pushing and handing over" do
    queue = UM::Queue.new
    mutex = UM::Mutex.new
    fibers = [parked { machine.shift(queue) }]
    machine.synchronize(mutex) { fibers << parked { machine.synchronize(mutex) { nil } } }
    expect(total_ops).to eq(2)
    machine.push(queue, 1)
    machine.snooze
    expect([total_ops, pending, fibers.map(&:done?)]).to eq([2, 0, [true, true]])
  end

  it "hold a timer that was given up as pending until the machine looks" do
    machine.timeout(10, RuntimeError) { nil }
    expect(ops).to eq([1, 0, 0, 255, 0])
    expect(pending_after_a_turn).to eq(0)
    expect(ops).to eq([0, 0, 0, 256, 0])
  end

  it "give the record of a fiber back that was interrupted" do
    fiber = parked { machine.sleep(0) }
    machine.schedule(fiber, RuntimeError.new)
    expect([machine.join(fiber), ops.values_at(0, 2)]).to match([be_a(RuntimeError), [0, 0]])
    expect(pending_after_a_turn).to eq(0)
    expect(machine.metrics[:ops_free]).to eq(256)
  end

  it "don't count wakeup" do
    machine.wakeup
    thread = Thread.new { machine.wakeup }
    machine.sleep(0.01)
    thread.join
    expect(total_ops).to eq(1)
  end

  it "can be had of another thread's machine" do
    own = machine
    expect(Thread.new { own.metrics[:ops_pending] }.value).to eq(0)
  end

  it "counts nothing as pending after one look, also when the completion queue had overflowed" do
    small = UM.new(size: 1)
    20.times do
      UM.pipe.each { |fd| small.close_async(fd) && small.submit }
    end
    small.test_mode = true
    small.snooze
    expect(small.metrics[:ops_pending]).to eq(0)
  end
end
