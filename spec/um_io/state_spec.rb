# frozen_string_literal: true

require_relative "../support/um_io"

RSpec.describe UM::IO, "its state" do
  include SpecSupport::UMIO

  SpecSupport::UMIO::SOURCES.each do |title, kind|
    describe "with #{title}" do
      let!(:source) { public_send(kind) }
      let(:io) { source.io }

      it "is what was consumed and what is left" do
        expect([io.pending, io.consumed, io.eof?]).to eq([0, 0, false])
        source.feed("foobar\nbaz")
        expect(io.read(3)).to eq("foo")
        expect([io.pending, io.consumed, io.eof?]).to eq([7, 3, false])
        expect(io.read_line).to eq("bar")
        expect([io.pending, io.consumed, io.eof?]).to eq([3, 7, false])
        source.finish
        expect(io.read(10)).to be_nil
        expect([io.pending, io.consumed, io.eof?]).to eq([3, 7, false])
        expect(io.skip(3)).to eq(3)
        expect([io.pending, io.consumed, io.eof?]).to eq([0, 10, true])
      end

      it "has nothing left after #clear, and reads what comes then" do
        source.feed("foobar")
        expect([io.read(2), io.clear, io.pending, io.consumed]).to eq(["fo", io, 0, 2])
        machine.snooze
        expect(machine.metrics[:ops_pending]).to eq(0)
        source.feed("later")
        expect([io.read(5), io.consumed]).to eq(["later", 7])
      end
    end
  end

  describe "#clear" do
    let!(:source) { pipe_source }
    let(:io) { source.io }

    it "leaves what comes then to others" do
      source.feed("foo")
      expect(io.read(1)).to eq("f")
      io.clear
      machine.snooze
      source.feed("later")
      expect([machine.read(descriptors.first, text = +"", 100), text]).to eq([5, "later"])
    end

    it "does nothing twice, or where nothing was read" do
      before = total_ops
      expect([io.clear, io.clear, total_ops]).to eq([io, io, before])
    end

    it "forgets the end" do
      path = file("foo")
      machine.open(path, File::RDONLY) do |fd|
        io = machine.io(fd)
        expect([io.read(3), io.read(1), io.eof?]).to eq(["foo", nil, true])
        File.write(path, "bar", mode: "a")
        expect([io.read(1), io.clear.eof?, io.read(3)]).to eq([nil, false, "bar"])
      end
    end

    it "leaves a fiber that reads waiting for what comes" do
      fiber = parked { io.read_line }
      source.feed("lost and ")
      snooze
      expect(io.pending).to eq(9)
      io.clear
      snooze
      expect(pending).to eq(1)
      source.feed("found\n")
      expect(soon { machine.join(fiber) }).to eq("found")
    end

    it "leaves a fiber that waits for a number of bytes waiting for as many" do
      fiber = parked { io.read(6) }
      source.feed("lost")
      snooze
      io.clear
      source.feed("foo")
      snooze
      expect(fiber).not_to be_done
      source.feed("bar")
      expect(soon { machine.join(fiber) }).to eq("foobar")
    end
  end

  describe "#eof?" do
    it "is known once the end has come, whoever asks" do
      source = pipe_source
      source.feed("foo")
      expect(source.io.read(3)).to eq("foo")
      source.finish
      soon { machine.sleep(0.001) until source.io.eof? }
      expect(source.io.read(1)).to be_nil
    end
  end

  # As in the original, where a segment is a unit of memory of its own.
  describe "the metrics of the pool" do
    it "have what was read, and get back to zero" do
      source = pipe_source
      expect(pool).to eq([0, 0, 0, 0, 0])
      source.feed("foobar")
      expect(source.io.read(6)).to eq("foobar")
      source.io.clear
      machine.snooze
      committed = UM.capabilities[:incremental_buffers] ? 262_138 : 15 * 16_384
      expect([pool[0], *pool[2..]]).to eq([16, 256, 262_144, committed])
      expect(machine.metrics.values_at(:ops_pending, :ops_free)).to eq([0, 256])
    end

    it "count segments that are unread" do
      source = pipe_source
      fiber = parked { source.io.read(100) }
      %w[foo bar baz].each { |text| source.feed(text) && snooze }
      expect(pool[2]).to eq(253)
      machine.terminate(fiber)
      snooze
      expect([source.io.read(3), pool[2]]).to eq(["foo", 254])
      source.io.clear
      machine.snooze
      expect([pool[2], pending]).to eq([256, 0])
    end
  end
end
