# frozen_string_literal: true

require "stringio"
require_relative "../support/machine_helpers"

RSpec.describe UM, "files and pipes" do
  include SpecSupport::MachineHelpers

  let(:buffer) { +"" }

  def piped(content, capacity = 100)
    pipe.first.tap { machine.write(descriptors.last, content[0, capacity * 1000]) }
  end

  describe "#open" do
    it "gives a descriptor" do
      fd = keep(machine.open(file("hello"), File::RDONLY))
      machine.read(fd, buffer, 10)
      expect(buffer).to eq("hello")
    end

    it "gives the block's value, and the descriptor is closed" do
      inner = nil
      value = machine.open(file("hello"), File::RDONLY) { |fd| (inner = fd) && machine.read(fd, buffer, 10) }
      expect([value, buffer]).to eq([5, "hello"])
      expect { machine.read(inner, buffer, 10) }.to raise_error(Errno::EBADF)
    end

    it "closes the descriptor when the block raises or breaks" do
      expect { machine.open(file, File::RDONLY) { raise "boo" } }.to raise_error(RuntimeError, "boo")
      expect(machine.open(file, File::RDONLY) { break :out }).to eq(:out)
      expect(catch(:ball) { machine.open(file, File::RDONLY) { throw :ball, 1 } }).to eq(1)
    end

    it "raises ENOENT before the block is called" do
      expect { machine.open("/no/such/file", File::RDONLY) { raise "called" } }.to raise_error(Errno::ENOENT)
      expect(pending).to eq(0)
    end

    it "makes a file that others may read and write, within the umask" do
      path = "#{file}.new"
      before = File.umask(0o022)
      machine.open(path, File::CREAT | File::WRONLY) { nil }
      expect(File.stat(path).mode & 0o777).to eq(0o644)
    ensure
      File.umask(before)
    end

    it "waits for the other side of a FIFO" do
      [File::RDONLY, File::WRONLY].each do |flags|
        path = fifo
        expect(machine.timeout(0.005, :waited) { machine.open(path, flags) }).to eq(:waited)
        FileUtils.rm(fifo)
      end
    end

    it "opens a FIFO when both sides have come" do
      path = fifo
      fibers = [File::RDONLY, File::WRONLY].map { |flags| machine.spin { keep(machine.open(path, flags)) } }
      expect(machine.join(fibers)).to all(be_an(Integer))
    end

    it "makes descriptors that are closed on exec" do
      fd = keep(machine.open(file, File::RDONLY))
      expect(as_io(fd).close_on_exec?).to be(true)
    end
  end

  describe "#close" do
    it "gives the descriptor" do
      fd = machine.open(file, File::RDONLY)
      expect(machine.close(fd)).to eq(fd)
    end

    it "raises EBADF the second time, and for what never was one" do
      fd = machine.open(file, File::RDONLY)
      machine.close(fd)
      [fd, -1, 1_000_000].each { |bad| expect { machine.close(bad) }.to raise_error(Errno::EBADF) }
    end

    it "shows the other side EOF before the next operation" do
      reader, writer = pipe
      close(writer)
      expect(machine.read(reader, buffer, 1)).to eq(0)
    end
  end

  describe "#read" do
    it "gives the number of bytes, and cuts the String to them" do
      buffer << "something longer"
      expect(machine.read(piped("hello"), buffer, 100)).to eq(5)
      expect(buffer).to eq("hello")
    end

    it "reads no more than asked for" do
      reader = piped("hello")
      expect([machine.read(reader, buffer, 2), buffer.dup, machine.read(reader, buffer, 10), buffer])
        .to eq([2, "he", 3, "llo"])
    end

    it "gives 0 at EOF and leaves the String as it was" do
      reader, writer = pipe
      close(writer)
      buffer << "before"
      expect([machine.read(reader, buffer, 100), buffer]).to eq([0, "before"])
      expect([machine.read(reader, buffer, 100, -1), buffer]).to eq([0, "before"])
    end

    it "leaves the String as it was when it fails" do
      buffer << "before"
      expect { machine.read(-1, buffer, 100) }.to raise_error(Errno::EBADF)
      expect(buffer << "!").to eq("before!")
    end

    it "reads 0 bytes" do
      expect([machine.read(piped("hello"), buffer, 0), buffer]).to eq([0, ""])
    end

    it "makes a String as large as it takes" do
      data = Random.new(1).bytes(1_000_000)
      fd = keep(machine.open(file(data), File::RDONLY))
      expect(machine.read(fd, buffer, 2_000_000)).to eq(1_000_000)
      expect(buffer.b == data).to be(true)
    end

    it "appends with the offset -1" do
      buffer << "foo"
      machine.read(piped("bar"), buffer, 100, -1)
      expect(buffer).to eq("foobar")
    end

    it "counts negative offsets from the end" do
      buffer << "foobar"
      expect(machine.read(piped("baz!"), buffer, 100, -4)).to eq(4)
      expect(buffer).to eq("foobaz!")
    end

    it "cuts the String behind what came in at an offset" do
      buffer << "0123456789"
      machine.read(piped("ab"), buffer, 100, 3)
      expect(buffer).to eq("012ab")
    end

    it "fills a gap with zeroes" do
      machine.read(piped("ab"), buffer, 100, 3)
      expect(buffer).to eq("\0\0\0ab")
    end

    # What is freed before is what the gap would show.
    it "fills a gap with zeroes also where others copied the String while it waited", :gc do
      20.times do
        Array.new(20) { "SECRET!!" * 630 }.each(&:clear)
        reader, writer = pipe
        buffer.replace("x" * 1000)
        fiber = parked { machine.read(reader, buffer, 100, 4000) }
        copy = buffer.dup
        machine.write(writer, "data")
        machine.join(fiber)
        expect([buffer == "#{"x" * 1000}#{"\0" * 3000}data", copy]).to eq([true, "x" * 1000])
      end
    end

    it "shows no gap where nothing came into a String that others copied" do
      reader, writer = pipe
      buffer.replace("x" * 1000)
      fiber = parked { machine.read(reader, buffer, 100, 4000) }
      buffer.dup
      close(writer)
      expect([machine.join(fiber), buffer << "!"]).to eq([0, "#{"x" * 1000}!"])
    end

    it "shows the appended data to a StringIO over the String" do
      io = StringIO.new(buffer << "foo")
      machine.read(piped("bar"), buffer, 100, -1)
      expect(io.read).to eq("foobar")
    end

    it "reads at a file offset without moving the position" do
      fd = keep(machine.open(file("0123456789"), File::RDONLY))
      machine.read(fd, buffer, 3, 0, 5)
      expect(buffer).to eq("567")
      machine.read(fd, buffer, 3)
      expect(buffer).to eq("012")
    end

    it "reads what a Ruby IO has not buffered, also where it is non-blocking" do
      reader, writer = IO.pipe
      fiber = parked { machine.read(reader.fileno, buffer, 10) }
      writer << "hello"
      writer.flush
      expect([machine.join(fiber), buffer]).to eq([5, "hello"])
    ensure
      [reader, writer].each(&:close)
    end

    it "doesn't change a String that shares its bytes with the buffer" do
      long = "a" * 1000
      buffer.replace(long)
      machine.read(piped("b" * 500), buffer, 1000)
      expect([long, buffer]).to eq(["a" * 1000, "b" * 500])
    end

    it "locks the String while it waits" do
      reader, writer = pipe
      fiber = parked { machine.read(reader, buffer, 10) }
      expect { buffer << "x" }.to raise_error(RuntimeError, /locked/)
      machine.write(writer, "hello")
      machine.join(fiber)
      expect(buffer << "x").to eq("hellox")
    end

    it "keeps the encoding" do
      buffer.force_encoding(Encoding::UTF_8)
      machine.read(piped("héé"), buffer, 100)
      expect([buffer, buffer.encoding, buffer.length]).to eq(["héé", Encoding::UTF_8, 3])
    end

    it "forgets what others found out about the bytes while it waited" do
      reader, writer = pipe
      buffer << "abcd"
      fiber = parked { machine.read(reader, buffer, 10) }
      expect(buffer.ascii_only?).to be(true)
      machine.write(writer, "éé")
      machine.join(fiber)
      expect([buffer.ascii_only?, buffer.length]).to eq([false, 2])
    end

    it "survives that others copied the String while it waited" do
      reader, writer = pipe
      buffer << ("a" * 2000)
      fiber = parked { machine.read(reader, buffer, 1000) }
      copies = [buffer.dup, buffer[1000, 1000], (+"").replace(buffer)]
      machine.write(writer, "b" * 500)
      expect([machine.join(fiber), buffer]).to eq([500, "b" * 500])
      # Their bytes may be the old or the new ones, as with the core's own reads.
      expect(copies.map(&:size)).to eq([2000, 1000, 2000])
    end
  end

  describe "#read into an IO::Buffer" do
    let(:memory) { IO::Buffer.new(3) }

    it "writes in place" do
      memory.set_string("abc")
      expect(machine.read(piped("xy"), memory, 2)).to eq(2)
      expect([memory.get_string, memory.locked?]).to eq(["xyc", false])
    end

    it "grows a buffer that is too small" do
      machine.read(piped("hello"), memory, 128, -1)
      expect([memory.size, memory.get_string(3, 5)]).to eq([131, "hello"])
    end

    # What is freed before is what would be in there.
    def grown_by
      Array.new(20) { "SECRET!!" * 125 }.each(&:clear)
      IO::Buffer.new(3).tap { |grown| error_of { yield grown } }.get_string.delete("\0")
    end

    it "grows it by zeroes, whatever is read into them", :gc do
      reader, writer = pipe
      20.times do
        machine.write(writer, "hello")
        expect(grown_by { |grown| machine.read(reader, grown, 800, 200) }).to eq("hello")
        late = grown_by { |grown| machine.timeout(0, nil) { machine.read(reader, grown, 800, 200) } }
        expect(late).to eq("")
        expect(grown_by { |grown| machine.read(-1, grown, 800, 200) }).to eq("")
      end
      close(writer)
      expect(grown_by { |grown| machine.read(reader, grown, 800, 200) }).to eq("")
    end

    it "makes memory for a buffer that has none" do
      empty = IO::Buffer.new(0)
      machine.read(piped("hello"), empty, 10)
      expect([empty.size, empty.get_string(0, 5)]).to eq([10, "hello"])
    end

    it "fills a slice of another one" do
      machine.read(piped("xy"), memory.slice(1, 2), 2)
      expect(memory.get_string).to eq("\0xy")
    end

    it "leaves the memory of a slice alone once its owner was freed" do
      reader, writer = pipe
      slice = memory.slice(1, 2)
      fiber = parked { error_of { machine.read(reader, slice, 2) } }
      memory.free
      machine.write(writer, "xy")
      expect(machine.join(fiber)).to be_a(IO::Buffer::InvalidatedError)
    end

    it "fills a slice from an offset on, also after an interruption", :gc do
      reader, writer = pipe
      slice = memory.slice(1, 2)
      expect(machine.timeout(0.001, :late) { machine.read(reader, slice, 2) }).to eq(:late)
      fiber = parked { machine.read(reader, slice, 2) }
      machine.schedule(fiber, SpecSupport::MachineHelpers::Stop.new)
      expect(machine.join(fiber)).to be_a(SpecSupport::MachineHelpers::Stop)
      machine.write(writer, "xy")
      expect(machine.read(reader, slice, 1, 1)).to eq(1)
      expect([memory.get_string, slice.locked?]).to eq(["\0\0x", false])
    end

    it "is refused for a slice that is read-only" do
      slice = IO::Buffer.for("read-only").slice(0, 4)
      expect { machine.read(piped("xy"), slice, 2) }.to raise_error(IO::Buffer::AccessError)
    end

    it "is refused for one that can't grow, that is read-only or locked" do
      string = "frozen string".dup.freeze
      [IO::Buffer.for(string), IO::Buffer.for(+"string")].each do |refused|
        expect { machine.read(piped("hello"), refused, 100) }.to raise_error(StandardError)
      end
      memory.locked { expect { machine.read(piped("x"), memory, 2) }.to raise_error(StandardError) }
      expect(total_ops).to eq(3) # the writes
    end

    it "works inside IO::Buffer.for" do
      text = +"abc"
      IO::Buffer.for(text) { |view| machine.read(piped("x"), view, 1) }
      expect(text).to eq("xbc")
    end
  end

  describe "#write" do
    let(:ends) { pipe }

    def written
      buffer.clear
      machine.read(ends.first, buffer, 100_000)
      buffer
    end

    it "gives the number of bytes" do
      expect([machine.write(ends.last, "hello"), written]).to eq([5, "hello"])
    end

    it "writes as many as asked for, and all with nil, -1 or too many" do
      { 2 => "he", nil => "hello", -1 => "hello", 100 => "hello" }.each do |len, expected|
        expect([machine.write(ends.last, "hello", len), written]).to eq([expected.size, expected])
      end
    end

    it "makes no op of nothing" do
      empty = IO::Buffer.new(0)
      [[""], ["hello", 0], [empty]].each { |args| expect(machine.write(ends.last, *args)).to eq(0) }
      expect(total_ops).to eq(0)
    end

    it "writes frozen, shared and long Strings" do
      long = ("0123456789" * 1000).freeze
      ["short", long, long[5, 5000]].each do |string|
        machine.write(ends.last, string)
        expect(written == string).to be(true)
      end
    end

    it "writes an IO::Buffer, also a read-only one" do
      string = "hello"
      [IO::Buffer.for(string), IO::Buffer.new(5).tap { |memory| memory.set_string("hello") }].each do |memory|
        expect([machine.write(ends.last, memory), written]).to eq([5, "hello"])
        expect(memory.locked?).to be(false)
      end
    end

    it "writes at a file offset" do
      path = file("0123456789")
      machine.open(path, File::WRONLY) { |fd| machine.write(fd, "ab", nil, 4) }
      expect(File.read(path)).to eq("0123ab6789")
    end

    it "raises EPIPE, and nobody dies" do
      close(ends.first)
      expect { machine.write(ends.last, "x") }.to raise_error(Errno::EPIPE)
      expect(pending).to eq(0)
    end

    it "writes the bytes that the String had, whatever becomes of it" do
      reader, writer = full_pipe
      long = "a" * 5000
      strings = [+"short", long.dup]
      fibers = strings.map { |string| parked { machine.write(writer, string) } }
      strings.each { |string| string.setbyte(0, 66) && string.replace("b" * 5000).clear }
      GC.start
      machine.read(reader, buffer, 65_536)
      machine.join(fibers)
      machine.read(reader, buffer, 10_000)
      expect(["short#{long}", "#{long}short"]).to include(buffer)
    end

    it "writes one String from many fibers at once" do
      [10, 3000].each do |size|
        string = "x" * size
        fibers = Array.new(50) { machine.spin { machine.write(ends.last, string) } }
        received = 0
        received += machine.read(ends.first, buffer, 100_000) while received < size * 50
        expect(machine.join(fibers)).to eq([size] * 50)
      end
    end

    it "writes what a slice of an IO::Buffer held when it was called", :gc do
      [100, 3000].each do |size|
        reader, writer = full_pipe
        memory = IO::Buffer.new(size + 1)
        memory.set_string("a" * size, 1)
        fiber = parked { machine.write(writer, memory.slice(1, size)) }
        memory.clear(98)
        memory.free
        machine.read(reader, buffer, 65_536)
        expect(machine.join(fiber)).to eq(size)
        machine.read(reader, buffer, 65_536)
        expect(buffer).to eq("a" * size)
      end
    end

    it "keeps an IO::Buffer locked until its last write is over" do
      memory = IO::Buffer.new(4096)
      first, one = full_pipe
      second, other = full_pipe
      fibers = [one, other].map { |writer| parked { machine.write(writer, memory) } }
      machine.read(first, buffer, 65_536)
      machine.join(fibers.first)
      expect(memory.locked?).to be(true)
      machine.read(second, buffer, 65_536)
      machine.join(fibers.last)
      expect(memory.locked?).to be(false)
    end
  end

  describe "#fsync" do
    it "gives 0" do
      fd = keep(machine.open(file, File::WRONLY))
      machine.write(fd, "hello")
      expect(machine.fsync(fd)).to eq(0)
    end

    it "raises EINVAL on a pipe, and EBADF" do
      expect { machine.fsync(pipe.last) }.to raise_error(Errno::EINVAL)
      expect { machine.fsync(-1) }.to raise_error(Errno::EBADF)
      expect { machine.fsync(nil) }.to raise_error(TypeError)
      expect(pending).to eq(0)
    end
  end

  describe "#splice and #tee" do
    it "splice moves bytes, 0 at EOF" do
      from, into = pipe
      target, to = pipe
      machine.write(into, "hello")
      expect(machine.splice(from, to, 3)).to eq(3)
      machine.read(target, buffer, 10)
      expect(buffer).to eq("hel")
      machine.splice(from, to, 10)
      close(into)
      expect(machine.splice(from, to, 10)).to eq(0)
    end

    it "splice moves a file through a pipe" do
      reader, writer = pipe
      target = file
      source = keep(machine.open(file("hello"), File::RDONLY))
      machine.open(target, File::WRONLY) do |fd|
        expect([machine.splice(source, writer, 100), machine.splice(reader, fd, 100)]).to eq([5, 5])
      end
      expect(File.read(target)).to eq("hello")
    end

    it "tee copies bytes and leaves them" do
      from, into = pipe
      target, to = pipe
      machine.write(into, "hello")
      expect(machine.tee(from, to, 10)).to eq(5)
      [from, target].each { |fd| machine.read(fd, buffer, 10) && expect(buffer).to(eq("hello")) }
    end

    it "raise EINVAL where neither is a pipe, and EBADF" do
      one, other = Array.new(2) { keep(machine.open(file("x"), File::RDWR)) }
      %i[splice tee].each do |name|
        expect { machine.public_send(name, one, other, 10) }.to raise_error(Errno::EINVAL)
        expect { machine.public_send(name, -1, pipe.last, 10) }.to raise_error(Errno::EBADF)
      end
      expect(pending).to eq(0)
    end
  end

  describe "class methods" do
    it "pipe makes descriptors that are closed on exec" do
      expect(pipe.map { |fd| as_io(fd).close_on_exec? }).to eq([true, true])
    end

    it "socketpair makes connected sockets of the type asked for" do
      one, other = socketpair(Socket::SOCK_SEQPACKET)
      machine.write(one, "hello")
      expect(machine.read(other, buffer, 100)).to eq(5)
    end

    it "socketpair raises for a domain that has none" do
      inet = [Socket::AF_INET, Socket::SOCK_STREAM, 0]
      expect { described_class.socketpair(*inet) }.to raise_error(SystemCallError)
    end
  end

  it "works with a polled submission queue" do
    polled = described_class.new(sqpoll: true)
    reader, writer = pipe
    fiber = polled.spin { polled.read(reader, buffer, 10) }
    polled.snooze
    polled.write(writer, "hello")
    expect([polled.join(fiber), buffer]).to eq([5, "hello"])
    expect(polled.timeout(0.001, :late) { polled.read(reader, buffer, 10) }).to eq(:late)
  end
end
