# frozen_string_literal: true

require_relative "../support/um_io"

RSpec.describe UM::IO, "#read_each" do
  include SpecSupport::UMIO

  let(:got) { [] }

  SpecSupport::UMIO::SOURCES.each do |title, kind|
    describe "of #{title}" do
      let!(:source) { public_send(kind) }
      let(:io) { source.io }

      it "yields what comes, in place, and returns the IO at the end", gc: kind == :pipe_source do
        fiber = parked { io.read_each { |buffer| got << [buffer.class, buffer.get_string] } }
        %w[one two].each do |text|
          source.feed(text)
          soon { machine.sleep(0.001) until got.dig(-1, 1) == text }
        end
        source.finish
        expect(soon { machine.join(fiber) }).to be(io)
        expect(got).to eq([[IO::Buffer, "one"], [IO::Buffer, "two"]])
        expect([io.consumed, io.eof?, pending_after_a_turn]).to eq([6, true, 0])
      end

      it "loses and mixes up nothing of a megabyte" do
        data = Random.new(8).bytes(1_000_000)
        sending = send_all(source, data, 30_011)
        soon { io.read_each { |buffer| got << buffer.get_string } }
        expect(got.join == data).to be(true)
        machine.join(sending)
        expect(unread_segments).to eq(0)
      end

      it "begins with what is left" do
        source.feed("foobar")
        expect(io.read(2)).to eq("fo")
        source.finish
        soon { io.read_each { |buffer| got << buffer.get_string } }
        expect(got.join).to eq("obar")
      end

      it "is left by break, and what comes then is there" do
        source.feed("hello")
        expect(io.read_each { |buffer| break buffer.size }).to eq(5)
        source.feed("later")
        expect(io.read(5)).to eq("later")
        expect(unread_segments).to eq(0)
      end

      it "is left by its block's exception, by throw and by a timeout" do
        source.feed("hello")
        expect { io.read_each { raise stop } }.to raise_error(stop)
        expect { machine.timeout(0.001, stop) { io.read_each { got << :nothing } } }.to raise_error(stop)
        source.feed("later")
        expect(catch(:done) { io.read_each { |buffer| throw :done, buffer.get_string } }).to eq("later")
        source.feed("last")
        expect([io.read(4), got]).to eq(["last", []])
        expect(unread_segments).to eq(0)
      end
    end
  end

  describe "the buffer" do
    let!(:source) { pipe_source }
    let(:io) { source.io }

    def yielded
      source.feed("hello")
      io.read_each { |buffer| break yield(buffer) }
    end

    it "is read-only and locked" do
      expect(yielded { |buffer| [buffer.readonly?, buffer.locked?, buffer.external?, buffer.size] })
        .to eq([true, true, true, 5])
      expect { yielded { |buffer| buffer.set_string("x") } }.to raise_error(IO::Buffer::AccessError)
      %i[free transfer].each { |name| expect { yielded(&name) }.to raise_error(IO::Buffer::LockedError) }
      expect { yielded { |buffer| buffer.resize(10) } }.to raise_error(IO::Buffer::LockedError)
    end

    it "is void after the block, and so are slices of it" do
      buffer, slice = yielded { |buffer| [buffer, buffer.slice(1, 2)] }
      expect([buffer.null?, buffer.size]).to eq([true, 0])
      expect { buffer.get_string(0, 1) }.to raise_error(StandardError)
      expect { slice.get_string }.to raise_error(IO::Buffer::InvalidatedError)
    end

    it "can be written elsewhere" do
      reader, writer = pipe
      count = yielded do |buffer|
        machine.write(writer, buffer) + machine.io(writer).write(buffer, buffer.slice(0, 1))
      end
      machine.read(reader, text = +"", 100)
      expect([count, text]).to eq([11, "hellohelloh"])
    end

    it "is not changed by what comes in while the block waits" do
      text = yielded do |buffer|
        before = buffer.get_string
        20.times { source.feed("x" * 4000) && snooze(1) && io.pending }
        [before, buffer.get_string]
      end
      expect(text).to eq(%w[hello hello])
    end

    it "keeps its memory in a fiber that is never run again" do
      buffer = Thread.new { buffer_of_a_lost_fiber }.value
      5.times { GC.start }
      expect(buffer.get_string).to eq("hello")
    end

    def buffer_of_a_lost_fiber
      other = UM.new
      reader, writer = pipe
      other.write(writer, "hello")
      kept = nil
      other.spin { other.io(reader).read_each { |buffer| (kept = buffer) && other.yield } }
      other.sleep(0.001) until kept
      kept
    end

    it "is there in a child that the block has forked" do
      outcome = ruby_program(<<~RUBY)
        require "uringmachine"
        $stdout.sync = true
        machine = UM.new
        reader, writer = UM.pipe
        machine.write(writer, "hello")
        machine.io(reader).read_each do |buffer|
          child = fork do
            puts buffer.get_string
            exit!(3)
          end
          Process.wait(child)
          p $?.exitstatus
          # This child leaves the block.
          if (child = fork)
            Process.wait(child)
            p $?.exitstatus
            break
          else
            $stderr.reopen(File::NULL)
            exit(4)
          end
        end
      RUBY
      expect(outcome.stdout).to eq("hello\n3\n4\n"), outcome.stdout + outcome.stderr
    end
  end

  it "needs a block" do
    expect { pipe_source.io.read_each }.to raise_error(LocalJumpError)
  end

  it "refuses reads of the same fiber from its block" do
    source = pipe_source
    io = source.io
    source.feed("foobar\n")
    calls = [-> { io.read(1) }, -> { io.read(0) }, -> { io.read_line }, -> { io.read_to_delim("|") },
             -> { io.skip(1) }, -> { io.read_each { nil } }]
    io.read_each do
      source.feed("later")
      calls.each { |call| expect { call.call }.to raise_error(UM::Error, /deadlock/) }
      break
    end
    expect(io.read(5)).to eq("later")
  end

  it "lets others read when it has ended" do
    source = pipe_source
    fiber = parked { source.io.read_each { |buffer| break buffer.get_string } }
    other = parked { source.io.read(3) }
    source.feed("foo")
    expect(soon { machine.join(fiber) }).to eq("foo")
    source.feed("bar")
    expect(soon { machine.join(other) }).to eq("bar")
  end

  it "lets its block ask for the state and clear" do
    source = pipe_source
    source.feed("foo")
    source.io.read_each do |buffer|
      got << [buffer.get_string, source.io.pending, source.io.eof?]
      break if got.size == 2

      source.io.clear
      source.feed("bar")
    end
    expect(got).to eq([["foo", 0, false], ["bar", 0, false]])
  end
end
