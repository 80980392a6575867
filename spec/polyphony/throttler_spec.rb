# frozen_string_literal: true

require_relative "../support/parked"

# The upper bounds only: a busy machine may be late, and a throttler never early.
RSpec.describe Polyphony::Throttler, :polyphony do
  include SpecSupport::Parked

  def seconds
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
  end

  it "calls the block at most so often" do
    [200, { rate: 200 }, { interval: 0.005 }].each do |rate|
      throttler = described_class.new(rate)
      count = 0
      expect(seconds { 4.times { throttler.process { count += 1 } } }).to be >= 0.015
      expect(count).to eq(4)
    end
  end

  it "gives the block itself, and the block's value" do
    throttler = described_class.new(1000)
    expect(throttler.call { |given| given }).to be(throttler)
  end

  it "doesn't make up for turns that were missed" do
    throttler = described_class.new(interval: 0.002)
    throttler.call { Polyphony.pause(0.01) }
    expect(seconds { 3.times { throttler.call { nil } } }).to be >= 0.004
  end

  it "is shared by fibers" do
    throttler = described_class.new(interval: 0.002)
    expect(seconds { Fiber.await(Array.new(5) { spin { throttler.call { nil } } }) }).to be >= 0.008
  end

  it "goes on after errors and interruptions" do
    throttler = described_class.new(500)
    expect { throttler.call { raise "failed" } }.to raise_error("failed")
    expect(move_on_after(0.0001, with_value: :late) { throttler.call { :ran } }).to eq(:late)
    expect(throttler.call { :ran }).to eq(:ran)
  end

  it "needs a rate" do
    [nil, :fast, 0, -1, "5", {}, { rate: 0 }, { interval: -1 }].each do |rate|
      expect { described_class.new(rate) }.to raise_error(RuntimeError)
    end
  end

  describe "throttled_loop" do
    it "runs so many times" do
      count = 0
      expect(seconds { throttled_loop(500, count: 5) { count += 1 } }).to be >= 0.008
      throttled_loop(interval: 0.0001, count: 3) { count += 1 }
      expect(count).to eq(8)
    end

    it "runs until it is left" do
      count = 0
      expect(throttled_loop(rate: 5000) { break :left if (count += 1) == 3 }).to eq(:left)
      throttled_loop(5000) { raise StopIteration if (count += 1) == 6 }
      throttled_loop(5000, count: 10) { raise StopIteration if (count += 1) == 9 }
      expect(count).to eq(9)
      expect(move_on_after(0.002, with_value: :late) { throttled_loop(5000) { nil } }).to eq(:late)
    end

    it "needs a block and a rate" do
      expect { throttled_loop(5) }.to raise_error(ArgumentError)
      expect { throttled_loop { nil } }.to raise_error(RuntimeError)
    end
  end
end
