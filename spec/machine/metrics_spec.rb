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
end
