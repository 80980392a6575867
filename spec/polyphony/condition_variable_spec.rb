# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe Polyphony::ConditionVariable, :polyphony do
  include SpecSupport::Parked

  let(:condition) { described_class.new }
  let(:mutex) { Polyphony::Mutex.new }
  let(:log) { [] }

  # Fibers that wait, and say in which order they went on and whether they had the mutex.
  def waiting(count, timeout = nil)
    parked(count) do |number|
      mutex.synchronize do
        condition.wait(mutex, timeout).tap { log << number if mutex.owned? }
      end
    end
  end

  it "lets one go on for each signal, in order" do
    fibers = waiting(3)
    expect(mutex.locked?).to be_nil
    expect(condition.signal).to be(condition)
    3.times { snooze }
    expect(log).to eq([0])
    condition.signal.signal
    expect([Fiber.await(fibers), log]).to eq([[condition] * 3, [0, 1, 2]])
  end

  it "lets all go on, one after the other" do
    fibers = waiting(3)
    mutex.synchronize { condition.broadcast && snooze && expect(log).to(eq([])) }
    Fiber.await(fibers)
    expect(log).to eq([0, 1, 2])
  end

  it "does nothing where nobody waits" do
    expect([condition.signal, condition.broadcast]).to all(be(condition))
    expect(mutex.synchronize { condition.wait(mutex, 0.001) }).to be_nil
  end

  it "waits no longer than it is told to, and has the mutex then" do
    expect(mutex.synchronize { [condition.wait(mutex, 0.001), mutex.owned?] }).to eq([nil, true])
  end

  it "needs a mutex that the fiber has" do
    expect { condition.wait(mutex) }.to raise_error(ThreadError)
    fiber = waiting(1).first
    condition.signal
    expect(soon { fiber.await }).to be(condition)
  end

  describe "an interrupted wait" do
    it "ends with the mutex" do
      fiber = parked { mutex.synchronize { [error_of { condition.wait(mutex) }.class, mutex.owned?] } }.first
      mutex.lock
      interrupt(fiber)
      3.times { snooze }
      expect(fiber).not_to be_done
      mutex.unlock
      expect(fiber.await).to eq([SpecSupport::Parked::Interrupted, true])
    end

    it "gives its signal to the next" do
      first, second = waiting(2)
      interrupt(first)
      condition.signal
      expect([first.await, soon { second.await }]).to match([be_a(StandardError), condition])
    end

    it "of a thread that has ended does so too" do
      thread = thread_with_fiber { mutex.synchronize { condition.wait(mutex) } }
      fiber = waiting(1).first
      condition.signal
      thread.kill.join
      expect(soon { fiber.await }).to be(condition)
    end
  end

  it "wakes threads" do
    thread = Thread.new { mutex.synchronize { condition.wait(mutex) && :woken } }
    Thread.pass until thread.stop?
    mutex.synchronize { condition.signal }
    expect(thread.value).to eq(:woken)
  end

  it "serves producers and consumers", :gc do
    items = []
    consumers = Array.new(3) do
      spin do
        Array.new(5) do
          mutex.synchronize do
            condition.wait(mutex) while items.empty?
            items.shift
          end
        end
      end
    end
    15.times do |number|
      mutex.synchronize { (items << number) && condition.signal }
      snooze if number.odd?
    end
    expect(Fiber.await(consumers).flatten.sort).to eq((0...15).to_a)
  end
end
