# frozen_string_literal: true

require_relative "../support/um_io"

RSpec.describe UM::IO, "modes" do
  include SpecSupport::UMIO

  let(:ends) { socketpair }
  let(:fd) { ends.first }

  describe ".new" do
    it "takes a descriptor, in mode :fd unless said otherwise" do
      expect(described_class.new(machine, fd).mode).to eq(:fd)
      expect(described_class.new(machine, fd, nil).mode).to eq(:fd)
      expect(described_class.new(machine, fd, :fd).mode).to eq(:fd)
      expect(described_class.new(machine, fd, :socket).mode).to eq(:socket)
    end

    it "takes an SSLSocket, in mode :ssl" do
      server, = tls_pair
      expect(described_class.new(machine, server).mode).to eq(:ssl)
      expect(described_class.new(machine, server, :ssl).mode).to eq(:ssl)
    end

    it "puts a BIO of the machine under an SSLSocket that has none" do
      one, other = plain_pair
      server = OpenSSL::SSL::SSLSocket.new(one, server_context)
      client = OpenSSL::SSL::SSLSocket.new(other, client_context)
      accepting = Thread.new { server.accept }
      client.connect
      accepting.join
      client.write("before\n")
      expect(soon { open_io(server).read_line }).to eq("before")
    end

    it "refuses modes that don't fit" do
      server, = tls_pair
      expect { described_class.new(machine, fd, :ssl) }.to raise_error(TypeError)
      expect { described_class.new(machine, server, :fd) }.to raise_error(ArgumentError)
      expect { described_class.new(machine, server, :socket) }.to raise_error(ArgumentError)
      [:file, "fd", 1, true].each do |mode|
        expect { described_class.new(machine, fd, mode) }.to raise_error(ArgumentError)
      end
    end

    it "refuses what can't be read" do
      [nil, "0", :stdin, 1.5, $stdin, Object.new, OpenSSL::SSL::SSLContext.new].each do |target|
        expect { described_class.new(machine, target) }.to raise_error(TypeError)
      end
      [2**40, 2**70, -2**70].each do |target|
        expect { described_class.new(machine, target) }.to raise_error(RangeError)
      end
      expect { described_class.new(machine, -1) }.to raise_error(Errno::EBADF)
    end

    it "refuses what is no machine, and a wrong number of arguments" do
      [nil, 1, Object.new, Thread.current].each do |other|
        expect { described_class.new(other, fd) }.to raise_error(TypeError)
      end
      expect { described_class.new(UM.allocate, fd) }.to raise_error(UM::Error, /uninitialized/)
      expect { described_class.new(machine) }.to raise_error(ArgumentError)
      expect { described_class.new(machine, fd, :fd, 1) }.to raise_error(ArgumentError)
    end

    it "reads nothing yet" do
      described_class.new(machine, fd)
      snooze
      expect(machine.metrics.values_at(:total_ops, :ops_pending)).to eq([0, 0])
      expect(pool).to eq([0, 0, 0, 0, 0])
    end

    it "makes an object once" do
      io = open_io(fd)
      expect { io.send(:initialize, machine, fd) }.to raise_error(UM::Error, /initialized/)
      [described_class.allocate, io.dup].each do |empty|
        expect { empty.read(1) }.to raise_error(UM::Error, /uninitialized/)
        expect { empty.clear }.to raise_error(UM::Error, /uninitialized/)
      end
    end
  end

  describe "UM#io" do
    it "makes an IO" do
      expect(machine.io(fd, :socket)).to be_a(described_class)
      expect(machine.io(fd, :socket).mode).to eq(:socket)
      expect { machine.io }.to raise_error(ArgumentError)
      expect { machine.io(fd, :other) }.to raise_error(ArgumentError)
    end

    it "gives a block's value, and clears then" do
      machine.write(ends.last, "foobar")
      io = nil
      value = machine.io(fd) do |it|
        io = it
        io.read(3)
      end
      expect([value, io.pending, io.consumed]).to eq(["foo", 0, 3])
      expect(pending_after_a_turn).to eq(0)
    end

    it "clears after an exception and a break" do
      machine.write(ends.last, "foobar")
      ios = []
      read_one = ->(io) { ios.push(io) && io.read(1) }
      expect { machine.io(fd) { |io| read_one.call(io) && raise(stop) } }.to raise_error(stop)
      machine.write(ends.last, "foobar")
      expect(machine.io(fd) { |io| break read_one.call(io) }).to eq("f")
      expect([ios.map(&:pending), pending_after_a_turn]).to eq([[0, 0], 0])
    end
  end

  describe "mode :socket" do
    it "needs a socket at the first read" do
      reader, writer = pipe
      machine.write(writer, "hello")
      io = open_io(reader, :socket)
      expect { io.read(1) }.to raise_error(Errno::ENOTSOCK)
      expect { io.read_line(0) }.to raise_error(Errno::ENOTSOCK)
      expect { open_io(writer, :socket).write("x") }.to raise_error(Errno::ENOTSOCK)
      expect(open_io(reader).read(5)).to eq("hello")
    end
  end

  describe "mode :fd" do
    it "reads a file from its current position" do
      machine.open(file("one\ntwo\nthree"), File::RDONLY) do |fd|
        as_io(fd).sysseek(4)
        io = open_io(fd)
        expect([io.read_line, io.read_line, io.read(-100), io.read(1)]).to eq(["two", nil, "three", nil])
      end
    end

    it "reads files that are larger than any buffer" do
      data = Random.new(1).bytes(1_000_003)
      machine.open(file(data), File::RDONLY) do |fd|
        io = open_io(fd)
        expect(io.read(1_000_000) == data.byteslice(0, 1_000_000)).to be(true)
        expect([io.read(3), io.read(1), io.eof?]).to eq([data.byteslice(-3..), nil, true])
      end
    end

    it "reads a terminal" do
      PTY.open do |terminal, inside|
        io = open_io(inside.fileno)
        fiber = parked { [io.read_line, io.read_line] }
        terminal.syswrite("one\n")
        snooze
        terminal.syswrite("two\n")
        expect(soon { machine.join(fiber) }).to eq(%w[one two])
        ending = parked { io.read(0) }
        terminal.syswrite("\u0004")
        expect([soon { machine.join(ending) }, io.eof?]).to eq([nil, true])
        # A terminal goes on after its end.
        io.clear
        terminal.syswrite("three\n")
        expect(soon { io.read_line }).to eq("three")
        expect(io.write("answer\n")).to eq(7)
      end
    end

    it "reads devices" do
      machine.open("/dev/zero", File::RDONLY) do |fd|
        expect(soon { open_io(fd).read(100_000) }).to eq("\0" * 100_000)
      end
      machine.open(File::NULL, File::RDONLY) { |fd| expect(soon { open_io(fd).read(0) }).to be_nil }
    end

    it "reads messages whole, empty ones too" do
      [Socket::SOCK_DGRAM, Socket::SOCK_SEQPACKET].each do |type|
        one, other = socketpair(type)
        io = open_io(one)
        fiber = parked { io.read(20_005) }
        machine.write(other, "x" * 20_000)
        as_socket(other).sendmsg("") if type == Socket::SOCK_DGRAM
        machine.write(other, "hello")
        expect(soon { machine.join(fiber) }).to eq("#{"x" * 20_000}hello")
      end
    end

    it "raises the error of a descriptor that can't be read" do
      _, writer = pipe
      expect { open_io(writer).read(1) }.to raise_error(Errno::EBADF)
      machine.open("/", File::RDONLY) { |fd| expect { open_io(fd).read(1) }.to raise_error(Errno::EISDIR) }
      listening, = listener
      expect { soon { open_io(listening).read(1) } }.to raise_error(Errno::ENOTCONN)
      expect { open_io(1_000_000).read(1) }.to raise_error(Errno::EBADF)
    end

    it "reads a non-blocking pipe" do
      source = pipe_source
      as_io(descriptors.first).nonblock = true
      fiber = parked { source.io.read_line }
      source.feed("hello\n")
      expect(soon { machine.join(fiber) }).to eq("hello")
    end
  end
end
