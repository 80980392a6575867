# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "IO.splice", :polyphony do
  # The same in the root fiber, and in one that was spun.
  contexts = {
    "in the root fiber" => ->(&block) { block.call },
    "in a spun fiber" => ->(&block) { spin(&block).await }
  }

  contexts.each do |name, run|
    context name do
      define_method(:in_context) { |&block| run.call(&block) }

      it "moves at most len bytes" do
        reader, writer = IO.pipe
        file = temporary_file("abcdef")
        expect(in_context { IO.splice(file, writer, 4) }).to eq(4)
        expect(reader.readpartial(10)).to eq("abcd")
      end

      it "moves what is there when that is less than len" do
        reader, writer = IO.pipe
        file = temporary_file("abc")
        expect(in_context { IO.splice(file, writer, 100) }).to eq(3)
        expect(reader.readpartial(10)).to eq("abc")
      end

      it "returns 0 at EOF" do
        _reader, writer = IO.pipe
        expect(in_context { IO.splice(temporary_file, writer, 10) }).to eq(0)
      end

      it "moves nothing for a length of 0" do
        reader, writer = IO.pipe
        expect(in_context { IO.splice(temporary_file("abc"), writer, 0) }).to eq(0)
        writer.close
        expect(reader.read).to eq("")
      end

      it "moves to EOF for a negative len, and returns the total" do
        reader, writer = IO.pipe
        expect(in_context { IO.splice(temporary_file("abcdefg"), writer, -3) }).to eq(7)
        writer.close
        expect(reader.read).to eq("abcdefg")
      end

      it "moves to EOF without len" do
        reader, writer = IO.pipe
        expect(in_context { IO.splice(temporary_file("abcdefg"), writer) }).to eq(7)
        writer.close
        expect(reader.read).to eq("abcdefg")
      end

      it "waits for the source" do
        source_reader, source_writer = IO.pipe
        reader, writer = IO.pipe
        spin do
          snooze
          source_writer << "late"
        end
        expect(in_context { IO.splice(source_reader, writer, 100) }).to eq(4)
        expect(reader.readpartial(10)).to eq("late")
      end
    end
  end

  # Moves data through a pipe by two splices at once.
  def through_pipe(source, destination, chunk = -8192)
    reader, writer = IO.pipe
    inward = spin do
      IO.splice(source, writer, chunk)
    ensure
      writer.close
    end
    outward = spin { IO.splice(reader, destination, chunk) }
    Fiber.await(inward, outward).last
  end

  describe "with more data than fits into a pipe" do
    let(:data) { random_bytes(1_000_000) }

    it "moves a file to a file" do
      copy = temporary_file
      expect(through_pipe(temporary_file(data), copy)).to eq(data.bytesize)
      expect(File.binread(copy.path) == data).to be(true)
    end

    it "moves a file to a TCP socket that reads slowly" do
      near, far = tcp_pair
      reader = spin { far.read }
      spin do
        through_pipe(temporary_file(data), near)
        near.close_write
      end
      expect(reader.await == data).to be(true)
    end

    it "moves a TCP socket's data to a file" do
      near, far = tcp_pair
      spin do
        far.write(data)
        far.close
      end
      copy = temporary_file
      expect(through_pipe(near, copy)).to eq(data.bytesize)
      expect(File.binread(copy.path) == data).to be(true)
    end

    it "moves between UNIX sockets" do
      near, near_end = UNIXSocket.pair
      far, far_end = UNIXSocket.pair
      spin do
        near.write(data)
        near.close
      end
      reader = spin { far.read }
      expect(through_pipe(near_end, far_end)).to eq(data.bytesize)
      far_end.close
      expect(reader.await == data).to be(true)
    end

    it "waits while the pipe is full" do
      reader, writer = IO.pipe(binmode: true)
      splicing = spin do
        IO.splice(temporary_file(data), writer, -8192)
      ensure
        writer.close
      end
      snooze until splicing.done? || writer.wait_writable(0).nil?
      expect(splicing).not_to be_done
      expect(spin { reader.read }.await == data).to be(true)
      expect(splicing.await).to eq(data.bytesize)
    end

    it "moves in a machine's own, blocking pipe" do
      reader, writer = UM.pipe.map { |fd| IO.for_fd(fd) }
      moving = spin do
        IO.splice(temporary_file(data), writer, -8192)
      ensure
        writer.close
      end
      copy = temporary_file
      expect(spin { IO.splice(reader, copy) }.await).to eq(data.bytesize)
      expect(moving.await).to eq(data.bytesize)
      expect(File.binread(copy.path) == data).to be(true)
    end
  end

  describe "between pipes" do
    it "waits until the destination has room" do
      source_reader, source_writer = IO.pipe
      reader, writer = IO.pipe
      writer.write_nonblock("x" * 1_000_000)
      source_writer << "behind"
      splicing = spin { IO.splice(source_reader, writer, 100) }
      snooze
      expect(splicing).not_to be_done
      full = reader.readpartial(100_000)
      expect(splicing.await).to eq(6)
      rest = spin { reader.readpartial(100_000) }.await
      expect(full + rest).to end_with("xbehind")
    end

    it "moves what a pipe holds, and then its EOF" do
      source_reader, source_writer = IO.pipe
      reader, writer = IO.pipe
      source_writer << "held"
      source_writer.close
      expect(IO.splice(source_reader, writer, -100)).to eq(4)
      expect(reader.readpartial(100)).to eq("held")
    end

    it "moves from a pipe to a file once something comes" do
      source_reader, source_writer = IO.pipe
      copy = temporary_file
      splicing = spin { IO.splice(source_reader, copy, -100) }
      snooze
      source_writer << "late"
      source_writer.close
      expect(splicing.await).to eq(4)
      expect(File.binread(copy.path)).to eq("late")
    end
  end

  describe "with a Polyphony::Pipe" do
    it "writes to its write end" do
      pipe = Polyphony.pipe
      expect(IO.splice(temporary_file("abc"), pipe, -10)).to eq(3)
      pipe.close
      expect(pipe.read).to eq("abc")
    end

    it "reads from its read end, which closes at EOF" do
      pipe = Polyphony.pipe
      pipe << "abc"
      pipe.close
      copy = temporary_file
      before = open_descriptors
      expect(IO.splice(pipe, copy, -10)).to eq(3)
      expect(open_descriptors).to eq(before - 1)
      expect(File.binread(copy.path)).to eq("abc")
    end

    it "raises after its write end was closed" do
      pipe = Polyphony.pipe
      pipe.close
      expect { IO.splice(temporary_file("abc"), pipe, 3) }.to raise_error(Polyphony::Pipe::ClosedPipeError)
    end

    it "raises after its read end was closed" do
      pipe = Polyphony.pipe
      pipe.close_read
      _reader, writer = IO.pipe
      expect { IO.splice(pipe, writer, 3) }.to raise_error(IOError)
    end
  end

  # What one move has seen of a file's pages is for the next one from there only.
  it "moves what is there, whatever happens to the files between two moves" do
    reader, writer = IO.pipe
    one = temporary_file("a" * 100_000)
    two = temporary_file("b" * 10)
    moved = lambda do |file, len|
      IO.splice(file, writer, len).then { |count| count.zero? ? "" : reader.readpartial(count) }
    end
    expect([moved.call(one, 3), moved.call(two, 3), moved.call(one, 3)]).to eq(%w[aaa bbb aaa])
    File.write(one.path, "new")
    expect(moved.call(one, 3)).to eq("")
    File.write(one.path, "newest")
    one.rewind
    expect([moved.call(one, 3), moved.call(one, 100), moved.call(one, 3)]).to eq(["new", "est", ""])
    File.write(one.path, "!", mode: "a")
    expect(moved.call(one, 3)).to eq("!")
    one.reopen(two.path)
    expect(moved.call(one, 4)).to eq("bbbb")
  end

  it "takes what converts to an IO, and doesn't close it" do
    Tempfile.create do |file|
      file.write("abc")
      file.rewind
      wrapper = Struct.new(:to_io) { def close_read = raise("closed") }.new(file)
      reader, writer = IO.pipe
      expect(IO.splice(wrapper, writer, -10)).to eq(3)
      expect(reader.readpartial(10)).to eq("abc")
    end
  end

  describe "what Ruby holds back" do
    it "takes what Ruby has read ahead from the source first" do
      source_reader, source_writer = IO.pipe
      source_writer << "line\nread ahead"
      expect(source_reader.gets).to eq("line\n")
      source_writer << ", then the rest"
      source_writer.close
      reader, writer = IO.pipe
      expect(IO.splice(source_reader, writer, -4)).to eq(25)
      writer.close
      expect(reader.read).to eq("read ahead, then the rest")
    end

    it "takes no more than len of it" do
      source_reader, source_writer = IO.pipe
      source_writer << "line\nread ahead"
      source_reader.gets
      reader, writer = IO.pipe
      expect(IO.splice(source_reader, writer, 4)).to eq(4)
      expect(reader.readpartial(100)).to eq("read")
      expect(source_reader.readpartial(100)).to eq(" ahead")
    end

    it "takes what was pushed back" do
      source_reader, source_writer = IO.pipe
      source_writer.close
      source_reader.ungetbyte("pushed")
      reader, writer = IO.pipe
      expect(IO.splice(source_reader, writer)).to eq(6)
      expect(reader.readpartial(100)).to eq("pushed")
    end

    it "goes on in a file where Ruby's reader is" do
      file = temporary_file("first\nsecond\nthird\n")
      file.gets
      reader, writer = IO.pipe
      expect(IO.splice(file, writer)).to eq(13)
      expect(reader.readpartial(100)).to eq("second\nthird\n")
    end

    it "writes what the destination has not flushed first" do
      source_reader, source_writer = IO.pipe
      source_writer << "behind"
      source_writer.close
      file = temporary_file
      file.sync = false
      file.write("before, ")
      IO.splice(source_reader, file)
      expect(File.binread(file.path)).to eq("before, behind")
    end

    it "writes what a socket has not flushed first" do
      near, far = UNIXSocket.pair
      near.sync = false
      near.write("before, ")
      source_reader, source_writer = IO.pipe
      source_writer << "behind"
      source_writer.close
      IO.splice(source_reader, near)
      near.close
      expect(far.read).to eq("before, behind")
    end
  end

  describe "where neither end is a pipe" do
    it "copies at most len bytes at a time" do
      file = temporary_file("abcdef")
      copy = temporary_file
      moved = Array.new(3) { IO.splice(file, copy, 4) }
      expect(moved).to eq([4, 2, 0])
      expect(File.binread(copy.path)).to eq("abcdef")
    end

    it "moves to EOF" do
      data = random_bytes(300_000)
      copy = temporary_file
      expect(IO.splice(temporary_file(data), copy, -10_000)).to eq(data.bytesize)
      expect(File.binread(copy.path) == data).to be(true)
    end

    it "leaves sockets open" do
      client, near = tcp_pair
      destination, far = tcp_pair
      client.write("request")
      client.close_write
      expect(IO.splice(near, destination)).to eq(7)
      expect(spin { far.readpartial(100) }.await).to eq("request")
      expect(far.read_nonblock(1, exception: false)).to eq(:wait_readable)
    end
  end

  it "is there from the destination's side" do
    reader, writer = IO.pipe
    expect(writer.splice_from(temporary_file("abc"))).to eq(3)
    expect(reader.readpartial(10)).to eq("abc")
    expect(writer.splice_from(temporary_file("def"), 2)).to eq(2)
    expect(reader.readpartial(10)).to eq("de")
  end

  describe "bad arguments" do
    it "raises for a closed source" do
      reader, writer = IO.pipe
      reader.close
      expect { IO.splice(reader, writer, 1) }.to raise_error(IOError)
    end

    it "raises for a closed destination" do
      reader, writer = IO.pipe
      writer.close
      expect { IO.splice(reader, writer, 1) }.to raise_error(IOError)
    end

    it "raises for what is no IO" do
      _reader, writer = IO.pipe
      expect { IO.splice("text", writer, 1) }.to raise_error(TypeError)
      expect { IO.splice(nil, writer, 1) }.to raise_error(TypeError)
    end

    it "raises for a length that is no number" do
      reader, writer = IO.pipe
      expect { IO.splice(reader, writer, "1") }.to raise_error(TypeError)
    end

    it "raises for the wrong number of arguments" do
      reader, writer = IO.pipe
      expect { IO.splice(reader) }.to raise_error(ArgumentError)
      expect { IO.splice(reader, writer, 1, 2) }.to raise_error(ArgumentError)
    end

    it "raises for a file that can't be read" do
      Tempfile.create do |file|
        _reader, writer = IO.pipe
        File.open(file.path, "w") do |write_only|
          expect { IO.splice(write_only, writer, 1) }.to raise_error(IOError, "not opened for reading")
        end
      end
    end
  end

  describe "broken connections" do
    it "raises EPIPE when nobody reads the pipe" do
      reader, writer = IO.pipe
      reader.close
      expect { IO.splice(temporary_file("abc"), writer, 3) }.to raise_error(Errno::EPIPE)
    end

    it "raises ECONNRESET when the source was reset" do
      near, far = tcp_pair
      far.setsockopt(Socket::Option.linger(true, 0))
      far.close
      _reader, writer = IO.pipe
      expect { IO.splice(near, writer, 3) }.to raise_error(Errno::ECONNRESET)
    end
  end

  describe "interrupted while it waits" do
    it "raises for the source, and leaves the data that comes later" do
      source_reader, source_writer = IO.pipe
      reader, writer = IO.pipe
      expect { interrupt_after(0.01) { IO.splice(source_reader, writer, 100) } }.to raise_error(interrupted)
      source_writer << "late"
      expect(IO.splice(source_reader, writer, 100)).to eq(4)
      expect(reader.readpartial(100)).to eq("late")
    end

    let(:interrupted) { SpecSupport::InPolyphony::Interrupted }

    it "ends a fiber that is terminated" do
      source_reader, = IO.pipe
      _reader, writer = IO.pipe
      splicing = spin { IO.splice(source_reader, writer, -100) }
      snooze
      Polyphony.machine.schedule(splicing, Polyphony::Terminate.new(:ended))
      expect(splicing.await).to eq(:ended)
    end
  end

  it "lets other fibers run while it moves a lot" do
    turns = 0
    ticking = spin { loop { snooze.then { turns += 1 } } }
    through_pipe(temporary_file(random_bytes(2_000_000)), temporary_file)
    expect(turns).to be > 5
    Polyphony.machine.schedule(ticking, Polyphony::Terminate.new)
  end

  it "moves data with the collector at work", :gc do
    pipe = Polyphony.pipe
    moving = spin { IO.splice(temporary_file("data"), pipe, -2) && pipe.close }
    expect(IO.splice(pipe, (copy = temporary_file), -3)).to eq(4)
    moving.await
    expect(File.binread(copy.path)).to eq("data")
  end
end
