# frozen_string_literal: true

require_relative "../support/um_io"

RSpec.describe UM::IO, "#read_to_delim" do
  include SpecSupport::UMIO

  SpecSupport::UMIO::SOURCES.each do |title, kind|
    describe "of #{title}" do
      let!(:source) { public_send(kind) }
      let(:io) { source.io }

      it "gives what is before the delimiter, and drops that", gc: kind == :pipe_source do
        source.feed("foo|bar||rest")
        expect(Array.new(3) { io.read_to_delim("|", 0) }).to eq(["foo", "bar", ""])
        source.finish
        expect([io.read_to_delim("|", 0), io.pending, io.read(0)]).to eq([nil, 4, "rest"])
      end

      it "waits for the delimiter" do
        fiber = parked { io.read_to_delim("|") }
        source.feed("foo", "bar")
        snooze
        expect(fiber).not_to be_done
        source.feed("baz|x")
        expect([soon { machine.join(fiber) }, io.read(0)]).to eq(%w[foobarbaz x])
      end

      it "loses nothing when it is interrupted" do
        fiber = parked { io.read_to_delim("|", 100) }
        source.feed("foo")
        snooze
        machine.schedule(fiber, stop.new)
        expect(machine.join(fiber)).to be_a(stop)
        expect { machine.timeout(0.001, stop) { io.read_to_delim("|", -100) } }.to raise_error(stop)
        source.feed("bar|")
        expect(soon { io.read_to_delim("|") }).to eq("foobar")
      end
    end
  end

  it "counts the delimiter in its limit" do
    io = io_with("abc|")
    expect([io.read_to_delim("|", 3), io.pending, io.read_to_delim("|", 4)]).to eq([nil, 4, "abc"])
  end

  it "gives so many bytes for a negative limit, and loses none of them" do
    io = io_with("abcd", "ef|gh")
    expect([io.read_to_delim("|", -4), io.read_to_delim("|", -4)]).to eq(%w[abcd ef])
    expect([io.read_to_delim("|", -4), io.read_to_delim("|", -4), io.eof?]).to eq(["gh", nil, true])
  end

  it "takes a delimiter at the limit for none" do
    io = io_with("abc|d|")
    expect(Array.new(3) { io.read_to_delim("|", -3) }).to eq(["abc", "", "d"])
  end

  it "searches for another delimiter from the first byte on" do
    io = io_with("abc", "d;e|f\0")
    expect([io.read_to_delim("x", 0), io.read_to_delim("|", 6)]).to eq([nil, nil])
    expect(io.read_to_delim("c", 0)).to eq("ab")
    expect([io.read_to_delim(";"), io.read_to_delim("\0")]).to eq(["d", "e|f"])
  end

  it "takes any byte" do
    io = io_with("a\xFFb\n".b)
    expect([io.read_to_delim("\xFF"), io.read_to_delim("\xFF".b, -100)]).to eq(["a", "b\n"])
  end

  it "refuses delimiters that are none" do
    io = io_with("foo|")
    [nil, 124, :|, /o/, ["|"]].each do |delimiter|
      expect { io.read_to_delim(delimiter, 0) }.to raise_error(ArgumentError)
    end
    ["", "||", "é"].each { |delimiter| expect { io.read_to_delim(delimiter, 0) }.to raise_error(UM::Error) }
    ["1", 1.5, :all].each { |limit| expect { io.read_to_delim("|", limit) }.to raise_error(TypeError) }
    [2**64, -2**64].each { |limit| expect { io.read_to_delim("|", limit) }.to raise_error(RangeError) }
    expect { io.read_to_delim }.to raise_error(ArgumentError)
    expect([io.read_to_delim("|", nil), io.read_to_delim("|", -2**61)]).to eq(["foo", nil])
  end
end
