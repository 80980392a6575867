# frozen_string_literal: true

require "socket"
require "tempfile"
require "uringmachine/selector"
require_relative "../support/scheduled"
require_relative "../support/selector_loop"

# Waiting for the kernel, as Async has its selectors do it.
RSpec.describe UM::Selector, :io_buffer do
  include SpecSupport::SelectorLoop

  def with_pipe
    reader, writer = IO.pipe
    yield reader, writer
  ensure
    [reader, writer].each(&:close)
  end

  # The result of a read, and the buffer.
  def read(io, room, length = 0, offset = 0)
    into = IO::Buffer.new(room)
    [selector.io_read(Fiber.current, io, into, length, offset), into]
  end

  describe "#io_wait", :gc do
    it "gives the events that came" do
      with_pipe do |reader, writer|
        start { log << selector.io_wait(Fiber.current, reader, IO::READABLE | IO::PRIORITY) }
        writer << "x"
        run_loop { log.any? }
        log << in_loop { selector.io_wait(Fiber.current, writer, IO::WRITABLE | IO::READABLE) }
        expect(log).to eq([IO::READABLE, IO::WRITABLE])
      end
    end

    it "wakes all who wait for one IO" do
      with_pipe do |reader, writer|
        3.times { |index| start { log << [index, selector.io_wait(Fiber.current, reader, IO::READABLE)] } }
        writer << "x"
        run_loop { log.size == 3 }
        expect(log).to contain_exactly(*Array.new(3) { |index| [index, IO::READABLE] })
      end
    end

    it "is false when somebody else transfers to the fiber: its time is up" do
      with_pipe do |reader, writer|
        fiber = start { log << selector.io_wait(Fiber.current, reader, IO::READABLE) << selector.transfer }
        fiber.transfer
        expect(log).to eq([false])
        writer << "x"
        3.times { selector.select(0) }
        fiber.transfer(:later)
        expect(log).to eq([false, :later])
      end
    end

    it "is given up by an exception" do
      with_pipe do |reader, _|
        fiber = start do
          selector.io_wait(Fiber.current, reader, IO::READABLE)
        rescue IOError
          log << :given_up
        end
        fiber.raise(IOError)
        expect(log).to eq([:given_up])
      end
    end

    it "refuses what is no IO, is closed, or has no such events" do
      with_pipe do |reader, writer|
        wait = ->(io, events) { in_loop { selector.io_wait(Fiber.current, io, events) } }
        expect { wait.call(Object.new, IO::READABLE) }.to raise_error(TypeError)
        expect { wait.call(reader, 1 << 20) }.to raise_error(ArgumentError)
        expect { wait.call(reader, "r") }.to raise_error(TypeError)
        writer.close
        expect { wait.call(writer, IO::WRITABLE) }.to raise_error(IOError)
      end
    end
  end

  describe "#io_read", :gc do
    it "brings what is there, behind an offset" do
      with_pipe do |reader, writer|
        writer << "abc"
        count, into = in_loop { read(reader, 8, 1, 2) }
        expect([count, into.get_string(2, 3)]).to eq([3, "abc"])
      end
    end

    it "waits for as many bytes as were asked for" do
      with_pipe do |reader, writer|
        start { log.concat(read(reader, 6, 6)) }
        %w[ab cd ef].each do |part|
          expect(log).to eq([])
          writer << part
          2.times { selector.select(0.01) }
        end
        run_loop { log.any? }
        expect([log.first, log.last.get_string]).to eq([6, "abcdef"])
      end
    end

    it "is 0 at the end, and the bytes so far when the end comes early" do
      with_pipe do |reader, writer|
        writer << "ab"
        writer.close
        expect(in_loop { read(reader, 6, 6) }.first).to eq(2)
        expect(in_loop { read(reader, 6, 6) }.first).to eq(0)
      end
    end

    it "is a negative errno when the kernel refuses" do
      with_pipe { |_, writer| expect(in_loop { read(writer, 1, 1) }.first).to eq(-Errno::EBADF::Errno) }
    end

    it "goes on when somebody transfers to the fiber for no reason" do
      with_pipe do |reader, writer|
        fiber = start { log << read(reader, 3, 3).first }
        2.times { selector.push(fiber) }
        selector.select(0)
        writer << "abc"
        run_loop { log.any? }
        expect(log).to eq([3])
      end
    end

    it "lets go of the buffer before an exception gets on, and loses no bytes" do
      with_pipe do |reader, writer|
        fiber = start do
          read(reader, 16, 1)
        rescue IOError => e
          log << e.message
        end
        selector.select(0)
        writer << "kept"
        # The bytes are in the buffer by now; the fiber doesn't know.
        fiber.raise(IOError, "interrupted")
        run_loop { log.any? }
        expect([log, reader.read_nonblock(4)]).to eq([["interrupted"], "kept"])
      end
    end

    it "raises a second exception that comes while the first one waits for the kernel" do
      with_pipe do |reader, _|
        fiber = start do
          read(reader, 1, 1)
        rescue IOError => e
          log << e.message
          selector.transfer
        end
        selector.select(0)
        %w[first second].each { |message| fiber.raise(IOError, message) }
        expect { run_loop { !fiber.alive? } }.to raise_error(IOError, "second")
        expect(log).to eq(["first"])
      end
    end

    it "leaves the time limits of the IO to the loop" do
      with_pipe do |reader, writer|
        reader.timeout = 0.001
        start { log << read(reader, 1, 1).first }
        selector.select(0.02)
        expect(log).to eq([])
        writer << "x"
        run_loop { log.any? }
      end
    end
  end

  describe "#io_write" do
    it "writes from an offset, as many bytes as there are" do
      with_pipe do |reader, writer|
        expect(in_loop { selector.io_write(Fiber.current, writer, buffer("abcdef"), 4, 2) }).to eq(4)
        expect(reader.read_nonblock(10)).to eq("cdef")
      end
    end

    it "waits for room" do
      text = "0123456789" * 50_000
      with_pipe do |reader, writer|
        start do
          log << selector.io_write(Fiber.current, writer, buffer(text), text.bytesize)
          writer.close
        end
        got = +""
        until log.any? && reader.closed?
          selector.select(0.1)
          chunk = reader.read_nonblock(100_000, exception: false)
          chunk.is_a?(String) ? got << chunk : (reader.close if chunk.nil?)
        end
        expect([log, got == text]).to eq([[text.bytesize], true])
      end
    end

    it "is -EPIPE when nobody reads any more" do
      with_pipe do |reader, writer|
        reader.close
        result = in_loop { selector.io_write(Fiber.current, writer, buffer("x"), 1) }
        expect(result).to eq(-Errno::EPIPE::Errno)
      end
    end
  end

  it "reads and writes at positions, where there are such" do
    Tempfile.create do |file|
      count = in_loop { selector.io_pwrite(Fiber.current, file, buffer("abc"), 5, 3) }
      into = IO::Buffer.new(4)
      got = in_loop { selector.io_pread(Fiber.current, file, into, 4, 4) }
      expect([count, got, into.get_string]).to eq([3, 4, "\0abc"])
    end
    with_pipe do |reader, _|
      result = in_loop { selector.io_pread(Fiber.current, reader, IO::Buffer.new(4), 0, 4) }
      expect(result).to eq(-Errno::ESPIPE::Errno)
    end
  end

  it "closes a descriptor in fact" do
    reader, writer = UNIXSocket.pair
    writer.autoclose = false
    expect(in_loop { selector.io_close(writer.fileno) }).to be(true)
    expect(reader.read).to eq("")
  ensure
    reader.close
  end

  describe "#process_wait" do
    it "gives the status of a child" do
      pid = spawn("exit 3")
      status = in_loop { selector.process_wait(Fiber.current, pid, 0) }
      expect([status.pid, status.exitstatus]).to eq([pid, 3])
    end

    it "gives the status of any child, and nil of none that has ended" do
      pid = spawn("sleep 10")
      expect(in_loop { selector.process_wait(Fiber.current, pid, Process::WNOHANG) }).to be_nil
      Process.kill(:TERM, pid)
      expect(in_loop { selector.process_wait(Fiber.current, pid, 0) }.termsig).to eq(15)
    end

    it "is given up by an exception; the child is left to others" do
      pid = spawn("sleep 10")
      fiber = start do
        selector.process_wait(Fiber.current, pid, 0)
      rescue IOError
        log << :given_up
      end
      fiber.raise(IOError)
      run_loop { log.any? }
      Process.kill(:KILL, pid)
      expect(Process.wait2(pid).last.termsig).to eq(9)
    end
  end

  it "keeps what the kernel fills when it is closed meanwhile" do
    with_pipe do |reader, writer|
      start { read(reader, 4096, 1) }
      selector.select(0)
      selector.close
      GC.start
      writer << "nobody reads this"
    end
  end
end
