# frozen_string_literal: true

require_relative "../support/um_io"

RSpec.describe UM::IO, "#write" do
  include SpecSupport::UMIO

  # An IO to write to, and one to read that from.
  sinks = {
    "a pipe" => -> { pipe.reverse.map { |fd| open_io(fd) } },
    "a socket in mode :fd" => -> { socketpair.map { |fd| open_io(fd) } },
    "a socket in mode :socket" => -> { socketpair.map { |fd| open_io(fd, :socket) } },
    "a TLS connection" => -> { tls_pair.map { |ssl| open_io(ssl) } }
  }
  sinks.each do |title, ends|
    describe "to #{title}" do
      let!(:both) { instance_exec(&ends) }
      let(:io) { both.first }
      let(:other) { both.last }

      it "writes Strings and IO::Buffers, all of them, in order", gc: title != "a TLS connection" do
        buffer = IO::Buffer.for("0123456789")
        expect(io.write("foo", buffer, "", buffer.slice(2, 3), "é", "x" * 700)).to eq(3 + 10 + 3 + 2 + 700)
        expect(other.read(718)).to eq("foo0123456789234é#{"x" * 700}".b)
        expect(buffer).not_to be_locked
      end

      it "writes one String or IO::Buffer" do
        expect([io.write("foo"), io.write(IO::Buffer.for("bar")), io.write("x" * 2000)]).to eq([3, 3, 2000])
        expect([other.read(6), other.read(2000)]).to eq(["foobar", "x" * 2000])
      end

      it "writes nothing of nothing" do
        before = total_ops
        expect([io.write, io.write(""), io.write("", "")]).to eq([0, 0, 0])
        expect(total_ops).to eq(before)
      end

      it "writes more than fits at once" do
        data = Random.new(9).bytes(3_000_000)
        parts = [data.byteslice(0, 500_000), data.byteslice(500_000..)]
        fiber = machine.spin { [io.write(data), io.write(*parts)] }
        2.times { expect(soon { other.read(3_000_000) } == data).to be(true) }
        expect(soon { machine.join(fiber) }).to eq([3_000_000, 3_000_000])
      end

      it "writes what a String was, whatever becomes of it" do
        data = Random.new(10).bytes(1_000_000)
        [[data.dup], [data.byteslice(0, 500_000), data.byteslice(500_000..)]].each do |strings|
          fiber = parked { io.write(*strings) }
          strings.each { |string| string.replace("changed") }
          expect(soon { other.read(1_000_000) } == data).to be(true)
          expect(soon { machine.join(fiber) }).to eq(1_000_000)
        end
      end

      it "can be interrupted, and leaves what is lent to others then" do
        data = IO::Buffer.new(3_000_000)
        fiber = parked { io.write(data) }
        machine.schedule(fiber, stop.new)
        expect(soon { machine.join(fiber) }).to be_a(stop)
        expect(data).not_to be_locked
        expect { machine.timeout(0.001, stop) { io.write("x", "y" * 3_000_000) } }.to raise_error(stop)
      end

      it "refuses what has no bytes, before anything is written" do
        before = total_ops
        [nil, 1, :foo, Object.new, ["x"], $stdin].each do |other|
          expect { io.write(other) }.to raise_error(UM::Error)
          expect { io.write("foo", other) }.to raise_error(UM::Error)
        end
        slice = IO::Buffer.new(10).then { |buffer| buffer.slice(1, 2).tap { buffer.free } }
        expect { io.write(slice) }.to raise_error(StandardError)
        expect { io.write("foo", slice) }.to raise_error(StandardError)
        expect(total_ops).to eq(before)
      end
    end
  end

  {
    "a pipe" => [-> { pipe.reverse }, :fd],
    "a socket" => [-> { socketpair }, :fd],
    "a socket in mode :socket" => [-> { socketpair }, :socket]
  }.each do |title, (ends, mode)|
    it "raises when the reader of #{title} has gone" do
      fd, other = instance_exec(&ends)
      io = machine.io(fd, mode)
      fiber = parked { io.write("x" * 3_000_000) }
      close(other)
      expect(soon { machine.join(fiber) }).to be_a(Errno::EPIPE)
      expect { io.write("foo") }.to raise_error(Errno::EPIPE)
      expect { io.write("foo", "x" * 1000) }.to raise_error(Errno::EPIPE)
      expect(pending_after_a_turn).to eq(0)
    end
  end

  it "raises when the reader of a TLS connection has gone" do
    server, client = tls_pair
    io = open_io(server)
    client.to_io.close
    expect { io.write("x" * 100_000) }.to raise_error(UM::Error)
    expect { io.write("x", "y") }.to raise_error(UM::Error)
  end

  it "says that a device is full" do
    machine.open("/dev/full", File::WRONLY) do |fd|
      expect { machine.io(fd).write("x") }.to raise_error(Errno::ENOSPC)
      expect { machine.io(fd).write("x", "y" * 1000) }.to raise_error(Errno::ENOSPC)
    end
  end

  it "writes a file from its current position on" do
    path = file("0123456789")
    machine.open(path, File::WRONLY) do |fd|
      io = machine.io(fd)
      expect([io.write("ab"), io.write("cd", "ef")]).to eq([2, 4])
    end
    expect(File.read(path)).to eq("abcdef6789")
  end

  it "doesn't write to another file that has got the descriptor's number" do
    reader, writer = pipe
    io = machine.io(writer)
    close(writer)
    expect { io.write("foo") }.to raise_error(Errno::EBADF)
    fds = socketpair
    fds = socketpair until fds.include?(writer)
    expect { io.write("foo") }.to raise_error(Errno::EBADF)
    expect { io.write("foo", "bar") }.to raise_error(Errno::EBADF)
    expect(machine.read(reader, +"", 10)).to eq(0)
  end

  it "doesn't go on with another file that has got the descriptor's number" do
    one, = socketpair
    [["x" * 3_000_000], ["x" * 1_500_000, "y" * 1_500_000]].each do |strings|
      one, = socketpair
      fiber = parked { machine.io(one, :socket).write(*strings) }
      close(one)
      expect(soon { machine.join(fiber) }).to be_a(Errno::EBADF)
    end
  end

  it "raises for a read-only descriptor" do
    reader, = pipe
    expect { machine.io(reader).write("x") }.to raise_error(Errno::EBADF)
  end
end
