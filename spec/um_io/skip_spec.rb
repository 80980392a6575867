# frozen_string_literal: true

require_relative "../support/um_io"

RSpec.describe UM::IO, "#skip" do
  include SpecSupport::UMIO

  SpecSupport::UMIO::SOURCES.each do |title, kind|
    describe "of #{title}" do
      let!(:source) { public_send(kind) }
      let(:io) { source.io }

      it "passes over bytes" do
        source.feed("foobar")
        expect([io.skip(4), io.read(2)]).to eq([4, "ar"])
      end

      it "waits for all of them" do
        fiber = parked { io.skip(7) }
        source.feed("foo")
        snooze
        expect(fiber).not_to be_done
        source.feed("barbaz")
        expect([soon { machine.join(fiber) }, io.read(0)]).to eq([7, "az"])
      end

      it "stops at the end, and says how many they were" do
        source.feed("foobar")
        source.finish
        expect([io.skip(10), io.skip(1), io.consumed]).to eq([6, 0, 6])
      end
    end
  end

  it "skips more than a stream holds" do
    source = pipe_source
    sending = send_all(source, "#{"x" * 1_000_000}rest", 40_000)
    expect([soon { source.io.skip(1_000_000) }, source.io.read(4)]).to eq([1_000_000, "rest"])
    machine.join(sending)
  end

  it "skips nothing without waiting" do
    expect(pipe_source.io.skip(0)).to eq(0)
  end

  it "has skipped what had come when it is interrupted" do
    source = pipe_source
    fiber = parked { source.io.skip(10) }
    source.feed("foo")
    snooze
    machine.schedule(fiber, stop.new)
    expect(machine.join(fiber)).to be_a(stop)
    source.feed("bar")
    expect([source.io.read(3), source.io.consumed]).to eq(["bar", 6])
  end

  it "refuses lengths that are none" do
    io = io_with("foo")
    ["1", nil, 1.5, :all].each { |length| expect { io.skip(length) }.to raise_error(TypeError) }
    expect { io.skip(-1) }.to raise_error(ArgumentError)
    expect { io.skip(2**64) }.to raise_error(RangeError)
    expect(io.skip(2**40)).to eq(3)
  end
end
