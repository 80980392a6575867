# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe Polyphony::Timer, :polyphony do
  include SpecSupport::Parked

  let(:timer) { described_class.new(:tag, resolution: 0.001) }
  let(:log) { [] }

  def for_ever = Polyphony.pause(nil)

  after { timer.stop }

  it "sleeps" do
    start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    timer.sleep(0.002)
    timer.sleep(0)
    expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - start).to be >= 0.002
  end

  it "moves on, and cancels" do
    expect(timer.move_on_after(0.001, with_value: :late) { for_ever }).to eq(:late)
    expect(timer.move_on_after(1) { :value }).to eq(:value)
    expect { timer.cancel_after(0.001) { for_ever } }.to raise_error(Polyphony::Cancel)
    expect { timer.cancel_after(0.001, with_exception: "text") { for_ever } }.to raise_error("text")
    expect(Polyphony.pause(0.002)).to be_nil
  end

  it "begins the innermost time of the running fiber anew" do
    value = timer.move_on_after(10, with_value: :outer) do
      timer.move_on_after(0.05, with_value: :inner) do |given|
        3.times { Polyphony.pause(0.025) || given.reset }
        :value
      end
    end
    expect([value, timer.reset]).to eq([:value, nil])
  end

  it "keeps apart what several fibers do" do
    fibers = Array.new(3) do |number|
      spin { timer.move_on_after(0.001 * (number + 1), with_value: number) { for_ever } }
    end
    resetting = spin do
      timer.move_on_after(10) { 10.times { timer.reset && Polyphony.pause(0.001) } && :value }
    end
    expect([Fiber.await(fibers), resetting.await]).to eq([[0, 1, 2], :value])
  end

  it "starts fibers later, and again and again" do
    expect(timer.after(0.001) { :value }.await).to eq(:value)
    timer.every(0.0005) { (log << 1) && log.size == 3 && break }
    expect(log.size).to eq(3)
  end

  it "ends the fibers that still wait when it is stopped" do
    begun = timer.after(0.001) { log << :ran }
    snooze
    fresh = timer.after(0) { log << :ran }
    expect(timer.stop).to be_nil
    expect([begun.await, fresh.await]).to eq([nil, nil])
    Polyphony.pause(0.003)
    expect(log).to eq([])
  end

  it "refuses bad input" do
    [0, -1].each { |resolution| expect { described_class.new(resolution:) }.to raise_error(ArgumentError) }
    expect { described_class.new(resolution: nil) }.to raise_error(TypeError)
    expect { timer.sleep(-1) }.to raise_error(ArgumentError)
    %i[after every cancel_after move_on_after].each do |name|
      expect { timer.public_send(name, 1) }.to raise_error(ArgumentError)
    end
  end
end
