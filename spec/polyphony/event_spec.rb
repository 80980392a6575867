# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe Polyphony::Event, :polyphony do
  include SpecSupport::Parked

  let(:event) { described_class.new }

  it "gives the value of the signal to the one who waits" do
    fiber = parked { event.await }.first
    expect(event.signal("value")).to be(event)
    expect(fiber.await).to eq("value")
    fiber = parked { event.await }.first
    event.signal
    expect(fiber.await).to be_nil
  end

  it "keeps a signal for the one who comes later, the last one" do
    event.signal(1).signal(2)
    expect(event.await).to eq(2)
    fiber = parked { event.await }.first
    expect(fiber).not_to be_done
    event.signal(3)
    expect(fiber.await).to eq(3)
  end

  it "takes several signals to a waiter as one" do
    count = 0
    parked do
      loop do
        event.await
        count += 1
      end
    end
    3.times { event.signal }
    3.times { snooze }
    expect(count).to eq(1)
  end

  it "has one waiter" do
    fiber = parked { event.await }.first
    expect { event.await }.to raise_error(RuntimeError, /another fiber/)
    event.signal
    fiber.await
  end

  it "has another one after the first was signalled" do
    first = parked { event.await }.first
    event.signal(1)
    second = spin do
      event.await
    end
    spin { event.signal(2) }
    expect(Fiber.await(first, second)).to eq([1, 2])
  end

  it "is left by an interrupted waiter" do
    fiber = parked { event.await }.first
    interrupt(fiber)
    expect(fiber.await).to be_a(StandardError)
    expect(move_on_after(0.001, with_value: :none) { event.await }).to eq(:none)
  end

  it "keeps the signal of a waiter that is interrupted before it has run" do
    fiber = parked { event.await }.first
    interrupt(fiber)
    event.signal(:kept)
    expect([fiber.await, soon { event.await }]).to match([be_a(StandardError), :kept])
  end

  it "is signalled from another thread" do
    thread = Thread.new { sleep(0.002) && event.signal(:thread) }
    expect([event.await, thread.value]).to eq([:thread, event])
  end

  it "is waited for in a plain thread" do
    thread = Thread.new { event.await }
    Thread.pass until thread.stop?
    event.signal(:item)
    expect(thread.value).to eq(:item)
  end

  it "is free again when the waiter's thread has ended" do
    thread_with_fiber { event.await }.kill.join
    event.signal(:kept)
    expect(soon { event.await }).to eq(:kept)
  end

  it "refuses what is not initialized, or frozen" do
    expect { described_class.allocate.await }.to raise_error(UM::Error)
    expect { event.freeze.signal }.to raise_error(FrozenError)
  end
end
