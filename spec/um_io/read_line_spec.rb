# frozen_string_literal: true

require_relative "../support/um_io"

RSpec.describe UM::IO, "#read_line" do
  include SpecSupport::UMIO

  SpecSupport::UMIO::SOURCES.each do |title, kind|
    describe "of #{title}" do
      let!(:source) { public_send(kind) }
      let(:io) { source.io }

      it "gives lines without their ends", gc: kind == :pipe_source do
        source.feed("foo\nbar\r\n\n\r\nb\raz\nrest")
        expect(Array.new(5) { io.read_line(0) }).to eq(["foo", "bar", "", "", "b\raz"])
        source.finish
        expect([io.read_line(0), io.pending, io.read(0)]).to eq([nil, 4, "rest"])
      end

      it "finds ends in several segments" do
        fiber = parked { Array.new(3) { io.read_line } }
        ["f", "oo\nba", "r\r", "\n", "\r", "\n"].each do |chunk|
          source.feed(chunk)
          snooze
        end
        expect(soon { machine.join(fiber) }).to eq(["foo", "bar", ""])
      end

      it "loses nothing when it is interrupted" do
        fiber = parked { io.read_line(100) }
        source.feed("foo")
        snooze
        machine.schedule(fiber, stop.new)
        expect(machine.join(fiber)).to be_a(stop)
        expect { machine.timeout(0.001, stop) { io.read_line } }.to raise_error(stop)
        source.feed("bar\n")
        expect(soon { io.read_line }).to eq("foobar")
      end
    end
  end

  it "counts the newline in its limit" do
    io = io_with("foo\r\nbaz\n")
    expect([io.read_line(4), io.read_line(5)]).to eq([nil, "foo"])
    expect([io.read_line(3), io.pending, io.read_line(4), io.read_line(4)]).to eq([nil, 4, "baz", nil])
  end

  it "doesn't wait for more than its limit" do
    source = pipe_source
    source.feed("foobar")
    expect([source.io.read_line(6), source.io.pending]).to eq([nil, 6])
    fiber = parked { source.io.read_line(7) }
    source.feed("\n")
    expect(soon { machine.join(fiber) }).to eq("foobar")
  end

  it "gives lines that are longer than a stream may be full" do
    source = pipe_source
    line = "x" * 1_500_000
    sending = send_all(source, "#{line}\nrest\n", 50_000)
    expect(soon { source.io.read_line } == line).to be(true)
    expect(source.io.read_line).to eq("rest")
    machine.join(sending)
    expect(unread_segments).to eq(0)
  end

  it "reads many small lines and large ones" do
    source = pipe_source
    random = Random.new(7)
    lines = Array.new(2000) { |number| number.to_s * random.rand(1..(number % 50 == 7 ? 9000 : 9)) }
    sending = send_all(source, lines.map { |line| "#{line}\r\n" }.join, 3001)
    got = []
    while (line = soon { source.io.read_line })
      got << line
    end
    machine.join(sending)
    expect(got == lines).to be(true)
  end

  it "refuses limits that are none" do
    io = io_with("foo\n")
    ["1", 1.5, :all, []].each { |limit| expect { io.read_line(limit) }.to raise_error(TypeError) }
    expect { io.read_line(-1) }.to raise_error(ArgumentError)
    expect { io.read_line(2**64) }.to raise_error(RangeError)
    expect { io.read_line(1, 2) }.to raise_error(ArgumentError)
    expect([io.read_line(nil), io.read_line(2**61)]).to eq(["foo", nil])
  end
end
