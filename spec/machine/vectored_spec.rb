# frozen_string_literal: true

require_relative "../support/machine_helpers"

# writev and sendv: several buffers as one.
RSpec.describe UM, "vectored writing" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:buffer) { +"" }

  # What comes out of a descriptor until there are so many bytes.
  def collected(fd, size)
    received = +""
    received << buffer while received.bytesize < size && machine.read(fd, buffer.clear, 65_536).positive?
    received
  end

  # IO::Buffers of these sizes, filled.
  def memories(*sizes)
    sizes.map { |size| IO::Buffer.new(size).tap { |memory| memory.set_string("m" * size) } }
  end

  # [what writes, where it comes out], by method.
  def ends(name) = (name == :writev ? pipe.reverse : socketpair)

  def full_ends(name) = (name == :writev ? full_pipe.reverse : full_socketpair)

  %i[writev sendv].each do |name|
    describe "##{name}" do
      define_method(:put) { |*args| machine.public_send(name, *args) }

      let(:into) { ends(name).tap { |_, from| @from = from }.first }
      let(:from) { into && @from }

      it "writes its buffers one behind the other" do
        expect(put(into, "foo", "", "bar", *memories(2), "b" * 5000)).to eq(5008)
        expect(collected(from, 5008)).to eq("foobarmm#{"b" * 5000}")
      end

      it "makes one op of many short buffers" do
        parts = Array.new(3000) { |number| "<#{number}>" }
        before = total_ops
        expect(put(into, *parts)).to eq(parts.join.size)
        expect(total_ops - before).to eq(1)
        expect(collected(from, parts.join.size)).to eq(parts.join)
      end

      it "writes more buffers than the kernel takes at once" do
        parts = Array.new(2500) { |number| number.to_s.rjust(700, ".") }
        fiber = machine.spin { put(into, *parts) }
        expect(collected(from, 2500 * 700) == parts.join).to be(true)
        expect(machine.join(fiber)).to eq(2500 * 700)
      end

      it "goes on until everything is written" do
        parts = ["a" * 1_000_000, "b", IO::Buffer.for("c" * 300_000), "d" * 500_000]
        fiber = machine.spin { put(into, *parts) }
        received = collected(from, 1_800_001)
        expect(received == "#{"a" * 1_000_000}b#{"c" * 300_000}#{"d" * 500_000}").to be(true)
        expect(machine.join(fiber)).to eq(1_800_001)
      end

      it "writes the bytes that the Strings had, whatever becomes of them" do
        strings = [+"short", "a" * 100_000, "b" * 200_000]
        expected = strings.join
        fiber = parked { put(into, *strings) }
        strings.each { |string| string.setbyte(0, 90) && string.replace("z" * 300_000).clear }
        GC.start
        expect(collected(from, expected.size) == expected).to be(true)
        expect(machine.join(fiber)).to eq(expected.size)
      end

      it "makes no op of nothing on a stream" do
        into
        before = total_ops
        expect([put(into), put(into, ""), put(into, "", +"", IO::Buffer.new(0))]).to eq([0, 0, 0])
        expect(total_ops).to eq(before)
      end

      it "refuses other buffers before there is an op, and locks none" do
        memory, = memories(5000)
        into
        before = total_ops
        [nil, :symbol, [], 1.5, $stdin, Object.new].each do |bad|
          expect { put(into, "good", memory, bad) }.to raise_error(described_class::Error)
          expect { put(into, bad, memory, "good") }.to raise_error(described_class::Error)
        end
        expect([total_ops - before, memory.locked?]).to eq([0, false])
      end

      it "refuses what is no descriptor, or nothing at all" do
        ["1", nil, $stdout].each { |bad| expect { put(bad, "x") }.to raise_error(TypeError) }
        expect { put }.to raise_error(ArgumentError, /given 0, expected 1\+/)
        [2**40, 2**70].each { |bad| expect { put(bad, "x") }.to raise_error(RangeError) }
      end

      it "raises EBADF for no descriptor, and gives the buffers back" do
        memory, = memories(5000)
        expect { put(-1, "x", memory) }.to raise_error(Errno::EBADF)
        expect([memory.locked?, pending]).to eq([false, 0])
      end

      it "raises EPIPE, and nobody dies" do
        close(from)
        expect { put(into, "x", "y" * 1000) }.to raise_error(Errno::EPIPE)
        expect(pending).to eq(0)
      end

      it "raises EBADF when the descriptor is closed while it waits" do
        full, = full_ends(name)
        memory, = memories(5000)
        fiber = parked { put(full, "x" * 5000, memory) }
        close(full)
        expect(machine.join(fiber)).to be_a(Errno::EBADF)
        snooze
        expect([memory.locked?, pending]).to eq([false, 0])
      end

      it "is interrupted by an exception, and by a timeout" do
        full, = full_ends(name)
        memory, = memories(5000)
        fiber = parked { put(full, "x" * 5000, memory) }
        expect(memory.locked?).to be(true)
        machine.schedule(fiber, stop.new)
        expect(machine.join(fiber)).to be_a(stop)
        expect { machine.timeout(0.001, stop) { put(full, "x", memory) } }.to raise_error(stop)
        expect([memory.locked?, pending]).to eq([false, 0])
      end

      it "writes what a slice of an IO::Buffer held when it was called" do
        memory, = memories(300_000)
        fiber = parked { put(into, "x", memory.slice(1, 299_999)) }
        memory.clear(98)
        expect(collected(from, 300_000)).to eq("x#{"m" * 299_999}")
        expect(machine.join(fiber)).to eq(300_000)
      end

      it "writes one IO::Buffer from two fibers at once" do
        memory, = memories(300_000)
        other, out = ends(name)
        fibers = [into, other].map { |fd| parked { put(fd, memory) } }
        collected(from, 300_000)
        machine.join(fibers.first)
        expect(memory.locked?).to be(true)
        collected(out, 300_000)
        machine.join(fibers.last)
        expect(memory.locked?).to be(false)
      end

      it "survives garbage collection at any moment", :gc do
        memory, = memories(1000)
        fiber = machine.spin { put(into, "short", "x" * 1000, memory, "y" * 70_000) }
        machine.snooze
        expect(collected(from, 72_005).size).to eq(72_005)
        expect(machine.join(fiber)).to eq(72_005)
      end
    end
  end

  describe "#writev to a file" do
    let(:path) { file("0123456789") }

    it "takes an Integer at the end for the offset" do
      machine.open(path, File::WRONLY) do |fd|
        expect(machine.writev(fd, "ab", "cd", 4)).to eq(4)
        expect(machine.writev(fd, "X", -1)).to eq(1)
      end
      expect(File.read(path)).to eq("X123abcd89")
    end

    it "goes on behind what it has written at an offset" do
      parts = Array.new(1500) { |number| number.to_s.rjust(800, ".") }
      machine.open(path, File::WRONLY) { |fd| expect(machine.writev(fd, *parts, 3)).to eq(1_200_000) }
      expect(File.read(path) == "012#{parts.join}").to be(true)
    end

    it "makes no op of an offset alone" do
      machine.open(path, File::WRONLY) { |fd| expect(machine.writev(fd, 3)).to eq(0) }
      expect(total_ops).to eq(2) # open and close
    end

    it "refuses offsets that there can't be" do
      machine.open(path, File::WRONLY) do |fd|
        expect { machine.writev(fd, "x", -2) }.to raise_error(ArgumentError)
        expect { machine.writev(fd, "x", 2**70) }.to raise_error(RangeError)
      end
      expect(File.read(path)).to eq("0123456789")
    end
  end

  it "doesn't go on in another file that got the number of one that was closed" do
    reader, writer = pipe
    fiber = parked { machine.writev(writer, "x" * 100_000) }
    # The first op is over by then, and its fiber has not run yet.
    machine.read(reader, buffer, 10_000)
    close(writer)
    path = file
    other = keep(machine.open(path, File::WRONLY))
    expect(other).to eq(writer)
    expect(machine.join(fiber)).to be_a(Errno::EBADF)
    expect(File.size(path)).to eq(0)
  end

  it "sendv makes one datagram of its buffers" do
    one, other = socketpair(Socket::SOCK_DGRAM)
    machine.sendv(one, "foo", *memories(1000), "bar")
    expect(machine.recv(other, buffer, 5000, 0)).to eq(1006)
  end

  it "sendv sends a datagram of no bytes, as send does, where its buffers are empty" do
    one, other = socketpair(Socket::SOCK_DGRAM)
    expect([machine.sendv(one, "", IO::Buffer.new(0)), machine.send(one, "", nil, 0)]).to eq([0, 0])
    machine.sendv(one, "", "behind")
    received = Array.new(3) { machine.recv(other, buffer, 10, 0) }
    expect([received, buffer]).to eq([[0, 0, 6], "behind"])
  end

  it "sendv sends nothing where it is given nothing" do
    one, other = socketpair(Socket::SOCK_DGRAM)
    expect(machine.sendv(one)).to eq(0)
    expect(machine.timeout(0.01, :nothing) { machine.recv(other, buffer, 10, 0) }).to eq(:nothing)
  end

  it "sendv refuses what is no socket" do
    expect { machine.sendv(pipe.last, "x") }.to raise_error(Errno::ENOTSOCK)
  end
end
