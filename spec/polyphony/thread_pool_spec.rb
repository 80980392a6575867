# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe Polyphony::ThreadPool, :polyphony do
  include SpecSupport::Parked

  let(:pool) { described_class.new(2) }

  # Threads have ends: each has a machine, and so descriptors.
  after { pool.stop }

  # Waits in a fiber, so that the thread's other fibers run.
  def until_true
    soon { Polyphony.pause(0.001) until yield }
  end

  it "has as many threads as it is told, or as there are processors" do
    expect(pool.size).to eq(2)
    other = described_class.new
    expect(other.size).to eq(Etc.nprocessors)
    other.stop
  end

  describe "process" do
    it "runs a block in another thread and gives its value" do
      here = Thread.current
      expect(pool.process { Thread.current == here ? :here : :elsewhere }).to eq(:elsewhere)
    end

    it "raises what the block raises, of whatever kind" do
      expect { pool.process { raise ArgumentError, "failed" } }.to raise_error(ArgumentError, "failed")
      expect { pool.process { raise NotImplementedError } }.to raise_error(NotImplementedError)
      expect { pool.process { raise Polyphony::Cancel } }.to raise_error(Polyphony::Cancel)
    end

    it "lets the other fibers run meanwhile, on all threads at once" do
      gate = Thread::Queue.new
      fibers = Array.new(2) { spin { pool.process { gate.pop && Thread.current } } }
      until_true { gate.num_waiting == 2 }
      expect(pool).to be_busy
      2.times { gate << true }
      expect(Fiber.await(fibers).uniq.size).to eq(2)
      expect(pool).not_to be_busy
    end

    it "runs blocks that spin fibers" do
      expect(pool.process { Fiber.await(spin { Polyphony.pause(0.001) || 1 }, spin { 2 }) }).to eq([1, 2])
    end

    it "may be called in threads of the pool, and in plain ones" do
      expect(pool.process { pool.process { :inner } }).to eq(:inner)
      expect(Thread.new { pool.process { :plain } }.value).to eq(:plain)
    end

    it "doesn't begin what nobody waits for any more" do
      gate = Thread::Queue.new
      2.times { pool.cast { gate.pop } }
      ran = false
      fiber = parked { pool.process { ran = true } }.first
      interrupt(fiber)
      expect(fiber.await).to be_a(StandardError)
      2.times { gate << true }
      until_true { !pool.busy? }
      expect(ran).to be(false)
    end

    it "says so where the thread ends" do
      expect { pool.process { Thread.exit } }.to raise_error(ThreadError, "the thread has ended")
      2.times { error_of { pool.process { Thread.current.kill } } }
      expect(pool.process { :replaced }).to eq(:replaced)
    end
  end

  describe "cast" do
    it "comes back at once, and all blocks run" do
      done = Thread::Queue.new
      expect(pool.cast { done << 0 }).to be(pool)
      9.times { |number| pool.cast { done << (number + 1) } }
      until_true { done.size == 10 }
      expect(Array.new(10) { done.pop }.sort).to eq((0..9).to_a)
    end

    it "reports errors, and goes on" do
      outcome = ruby_program(<<~RUBY)
        require "polyphony"
        pool = Polyphony::ThreadPool.new(1)
        pool.cast { raise "failed" }
        p pool.process { :on }
      RUBY
      expect([outcome.stdout, outcome.stderr]).to match([":on\n", /failed \(RuntimeError\)/])
    end
  end

  describe "stop" do
    it "ends the threads, and tells those who wait" do
      fibers = parked(3) { error_of { pool.process { sleep } }.message }
      expect(pool.stop).to be_nil
      expect(Fiber.await(fibers)).to eq(["the thread has ended"] * 3)
      expect([pool.busy?, pool.stop]).to eq([false, nil])
      expect { pool.process { 1 } }.to raise_error(ClosedQueueError)
    end

    it "ends a pool that has only begun" do
      described_class.new(4).stop
    end
  end

  describe "that all share" do
    after { described_class.reset }

    it "is made when it is needed" do
      threads = Array.new(2) do
        described_class.process { Thread.current }.tap { described_class.reset }
      end
      expect([threads.uniq.size, threads.none?(&:alive?)]).to eq([2, true])
    end
  end

  it "has threads of its own in a forked child, and none of the parent's tasks" do
    ran = Thread::Queue.new
    gate = Thread::Queue.new
    3.times { pool.cast { ran << gate.pop } }
    expect(in_child { pool.process { [:child, pool.busy?, ran.size] } }).to eq("[:child, true, 0]")
    3.times { gate << true }
    until_true { ran.size == 3 }
  end

  it "refuses bad input" do
    expect { described_class.new(0) }.to raise_error(ArgumentError)
    [nil, "2", 1.5].each { |size| expect { described_class.new(size) }.to raise_error(TypeError) }
    expect { pool.process }.to raise_error(ArgumentError)
    expect { pool.cast }.to raise_error(ArgumentError)
  end
end
