# frozen_string_literal: true

require "objspace"
require_relative "../support/um_io"

RSpec.describe UM::IO, "#read" do
  include SpecSupport::UMIO

  SpecSupport::UMIO::WAYS.each do |way, names|
    SpecSupport::UMIO::SOURCES.each do |title, kind|
      describe "of #{title}, #{way}" do
        let(:machine) { machine_without(names) }
        let!(:source) { public_send(kind) }
        let(:io) { source.io }

        it "gives exactly so many bytes", gc: names.empty? do
          source.feed("foobar")
          expect([io.read(2), io.read(4)]).to eq(%w[fo obar])
          source.finish
          expect(io.read(1)).to be_nil
        end

        it "waits for all of them" do
          fiber = parked { io.read(9) }
          source.feed("foo")
          snooze
          expect(fiber).not_to be_done
          source.feed("bar", "bazq")
          expect([soon { machine.join(fiber) }, io.pending]).to eq(["foobarbaz", 1])
        end

        it "is nil where the end comes first, and leaves what there is" do
          source.feed("foobar")
          source.finish
          expect([io.read(7), io.pending, io.eof?]).to eq([nil, 6, false])
          expect([io.read(-7), io.read(-7), io.eof?]).to eq(["foobar", nil, true])
        end

        it "gives all that is there for 0" do
          source.feed("foobar")
          expect([io.read(1), io.read(0)]).to eq(%w[f oobar])
          fiber = parked { io.read(0) }
          source.feed("baz")
          expect(soon { machine.join(fiber) }).to eq("baz")
          source.finish
          expect([io.read(0), io.read(0)]).to eq([nil, nil])
        end

        it "gives up to so many bytes for a negative number" do
          source.feed("foobar")
          expect([io.read(-4), io.read(-4)]).to eq(%w[foob ar])
          fiber = parked { io.read(-2) }
          source.feed("baz")
          expect([soon { machine.join(fiber) }, io.read(-1)]).to eq(%w[ba z])
        end

        it "loses and mixes up nothing of a megabyte" do
          data = Random.new(5).bytes(1_000_000)
          sending = send_all(source, data, 30_011)
          got = [io.read(500_000), io.read(1), io.read(100_000), io.read(399_999), io.read(1)]
          expect(got.pop).to be_nil
          expect(got.join == data).to be(true)
          machine.join(sending)
          expect(unread_segments).to eq(0)
        end

        it "loses nothing when it is interrupted" do
          fiber = parked { io.read(8) }
          source.feed("foo")
          snooze
          machine.schedule(fiber, stop.new)
          expect(machine.join(fiber)).to be_a(stop)
          source.feed("bar")
          expect { machine.timeout(0.01, stop) { io.read(8) } }.to raise_error(stop)
          expect(machine.timeout(0.001, :late) { io.read(8) }).to eq(:late)
          source.feed("ba")
          expect(soon { io.read(8) }).to eq("foobarba")
        end

        it "loses nothing of a long read that is interrupted" do
          data = Random.new(6).bytes(400_000)
          fiber = parked { io.read(500_000) }
          sending = machine.spin { feed_all(source, data) }
          soon { machine.join(sending) }
          machine.sleep(0.002)
          machine.schedule(fiber, stop.new)
          expect(machine.join(fiber)).to be_a(stop)
          expect(soon { io.read(400_000) } == data).to be(true)
          expect(io.consumed).to eq(400_000)
        end

        it "loses no byte to exceptions, many times" do
          got = +""
          200.times do |turn|
            fiber = machine.spin { loop { got << io.read([-100, 1, 3][turn % 3]) } }
            machine.snooze
            machine.submit if turn[0].zero?
            source.feed(turn.to_s)
            turn[1].zero? ? machine.schedule(fiber, stop.new) : machine.sleep(0.00001)
            machine.schedule(fiber, stop.new)
            machine.join(fiber)
          end
          source.finish
          while (rest = io.read(0))
            got << rest
          end
          expect(got).to eq((0...200).to_a.join)
        end
      end
    end
  end

  describe "of a pipe" do
    let!(:source) { pipe_source }
    let(:io) { source.io }

    it "gives binary Strings of their own" do
      source.feed("éé")
      first = io.read(2)
      expect([first.encoding, first.frozen?]).to eq([Encoding::BINARY, false])
      first << "!"
      expect(io.read(0)).to eq("é".b)
    end

    it "doesn't reserve what may never come" do
      before = ObjectSpace.memsize_of_all(String)
      source.feed("foo")
      fiber = parked { io.read(1 << 40) }
      expect(ObjectSpace.memsize_of_all(String) - before).to be < 10_000_000
      source.finish
      expect([soon { machine.join(fiber) }, io.pending, io.read(3)]).to eq([nil, 3, "foo"])
    end

    it "waits for more than there can be" do
      source.feed("foo")
      source.finish
      expect([io.read(2**61), io.read(-(2**61))]).to eq([nil, "foo"])
    end

    it "refuses lengths that are none" do
      source.feed("foo")
      ["1", nil, 1.5, :all, []].each { |length| expect { io.read(length) }.to raise_error(TypeError) }
      [2**64, -2**64, -2**63].each { |length| expect { io.read(length) }.to raise_error(RangeError) }
      expect { io.read }.to raise_error(ArgumentError)
      expect([pending, io.read(3)]).to eq([0, "foo"])
    end

    it "serves fibers in turn" do
      fibers = Array.new(3) { parked { Array.new(3) { io.read(1) }.join } }
      source.feed("abc", "def", "ghi")
      expect(soon { machine.join(fibers) }).to eq(%w[adg beh cfi])
    end

    it "serves those who wait before the one that comes back" do
      first = parked { 2.times.map { io.read(2) } }
      second = parked { io.read(2) }
      source.feed("aabbcc")
      expect(soon { machine.join(first, second) }).to eq([%w[aa cc], "bb"])
    end

    it "passes the turn of a fiber on that is interrupted in line" do
      fibers = Array.new(3) { parked { io.read(1) } }
      source.feed("ab")
      machine.schedule(fibers[1], stop.new)
      expect(soon { machine.join(fibers) }).to match(["a", be_a(stop), "b"])
    end

    it "passes the turn on when the reader is interrupted" do
      fibers = Array.new(2) { parked { io.read(2) } }
      source.feed("a")
      snooze
      machine.schedule(fibers.first, stop.new)
      machine.snooze
      source.feed("b")
      expect(soon { machine.join(fibers) }).to match([be_a(stop), "ab"])
    end

    it "finds what came between, whoever asks for the state meanwhile" do
      fiber = parked { [io.read(3), io.read(1)] }
      source.feed("foo")
      snooze
      machine.submit
      source.finish
      # In this mode the op's end is taken in before our turn, which is before the reader's.
      machine.test_mode = true
      machine.snooze
      expect([io.eof?, io.pending]).to eq([false, 0])
      expect(soon { machine.join(fiber) }).to eq(["foo", nil])
      expect(io.eof?).to be(true)
    end
  end
end
