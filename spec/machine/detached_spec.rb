# frozen_string_literal: true

require_relative "../support/machine_helpers"

# close_async, shutdown_async and write_async: nobody waits for them.
RSpec.describe UM, "operations that nobody waits for" do
  include SpecSupport::MachineHelpers

  let(:buffer) { +"" }
  let(:ends) { pipe }
  let(:reader) { ends.first }
  let(:writer) { ends.last }

  def open?(fd) = File.exist?("/proc/self/fd/#{fd}")

  def received(fd = reader)
    machine.read(fd, buffer.clear, 100_000)
    buffer
  end

  describe "#close_async" do
    def close_async(fd)
      descriptors.delete(fd)
      machine.close_async(fd)
    end

    it "gives the descriptor, and closes it when the machine submits" do
      expect(close_async(writer)).to eq(writer)
      expect([open?(writer), pending, machine.metrics[:ops_unsubmitted]]).to eq([true, 1, 1])
      expect(machine.submit).to eq(1)
      settle
      expect(open?(writer)).to be(false)
      expect(machine.read(reader, buffer, 1)).to eq(0)
    end

    it "closes it at the next wait, too" do
      close_async(writer)
      expect(soon { machine.read(reader, buffer, 1) }).to eq(0)
    end

    it "ends what waits on the descriptor" do
      fiber = parked { machine.read(reader, buffer, 10) }
      close_async(reader)
      expect(soon { machine.join(fiber) }).to be_a(Errno::EBADF)
      settle
      expect { machine.write(writer, "x") }.to raise_error(Errno::EPIPE)
    end

    it "loses its errors" do
      [-1, 1_000_000].each { |fd| expect(machine.close_async(fd)).to eq(fd) }
      settle
      expect(pending).to eq(0)
    end

    it "comes after what was written before" do
      machine.write_async(writer, "hello")
      close_async(writer)
      expect([received.dup, machine.read(reader, buffer, 1)]).to eq(["hello", 0])
    end

    it "is over before close looks at the number again" do
      close_async(writer)
      expect { machine.close(writer) }.to raise_error(Errno::EBADF)
    end

    it "doesn't wait for room in a small queue" do
      small = described_class.new(size: 1)
      small.close_async(-1)
      expect { small.close_async(-1) }.to raise_error(described_class::Error)
      small.submit
      expect(small.close_async(-1)).to eq(-1)
    end
  end

  describe "#shutdown_async" do
    let(:ends) { socketpair }

    it "gives the descriptor, and shuts the socket down" do
      expect(machine.shutdown_async(writer, Socket::SHUT_WR)).to eq(writer)
      expect(soon { machine.recv(reader, buffer, 1, 0) }).to eq(0)
      expect { machine.send(writer, "x", -1, 0) }.to raise_error(Errno::EPIPE)
    end

    %i[close close_async].each do |close|
      it "ends accept_each also when #{close} comes right behind it" do
        server, = listener
        descriptors.delete(server)
        fiber = parked { machine.accept_each(server) { nil } }
        machine.shutdown_async(server, Socket::SHUT_RDWR)
        machine.__send__(close, server)
        expect(soon { machine.join(fiber) }).to be_nil
      end
    end

    it "loses its errors" do
      [[writer, 99], [-1, 0], [pipe.first, 0]].each { |args| machine.shutdown_async(*args) }
      settle
      expect(pending).to eq(0)
    end
  end

  describe "#write_async" do
    it "gives the buffer, and writes when the machine submits" do
      text = +"hello"
      expect(machine.write_async(writer, text)).to be(text)
      figures = machine.metrics.values_at(:ops_pending, :ops_unsubmitted, :ops_transient)
      expect([*figures, machine.metrics[:ops_free]]).to eq([1, 1, 1, 255])
      expect(received).to eq("hello")
      snooze
      expect(machine.metrics.values_at(:ops_pending, :ops_transient, :ops_free)).to eq([0, 0, 256])
    end

    it "writes as many bytes as asked for, and all with nil, -1 or too many" do
      { 2 => "he", nil => "hello", -1 => "hello", 100 => "hello" }.each do |len, expected|
        machine.write_async(writer, "hello", len)
        expect(received).to eq(expected)
      end
    end

    it "writes at a file offset" do
      path = file("0123456789")
      machine.open(path, File::WRONLY) { |fd| machine.write_async(fd, "ab", nil, 4) && settle }
      expect(File.read(path)).to eq("0123ab6789")
    end

    it "makes no op of nothing" do
      expect([machine.write_async(writer, ""), machine.write_async(writer, "x", 0)]).to eq(["", "x"])
      expect(total_ops).to eq(0)
    end

    it "writes the bytes that the String had, whatever becomes of it" do
      strings = [+"short", +"long" * 1000]
      strings.each do |string|
        machine.write_async(writer, string)
        string.replace("z" * 5000).clear
      end
      GC.start
      expect(received).to eq("short#{"long" * 1000}")
    end

    it "keeps an IO::Buffer locked until it is written" do
      memory = IO::Buffer.new(100)
      machine.write_async(writer, memory)
      expect(memory.locked?).to be(true)
      settle
      expect(memory.locked?).to be(false)
    end

    it "is written although the descriptor is closed after it" do
      machine.write_async(writer, "hello")
      close(writer)
      expect(received).to eq("hello")
    end

    it "is written to a full pipe although the descriptor is closed after it" do
      full, into = full_pipe
      machine.write_async(into, "y" * 1000)
      machine.submit
      close(into)
      machine.read(full, buffer, 65_536)
      expect([received(full), machine.read(full, buffer, 1)]).to eq(["y" * 1000, 0])
    end

    it "refuses what is no buffer or number" do
      [nil, :x, []].each do |bad|
        expect { machine.write_async(writer, bad) }.to raise_error(described_class::Error)
      end
      expect { machine.write_async(nil, "x") }.to raise_error(TypeError)
      expect { machine.write_async(writer, "x", -5) }.to raise_error(ArgumentError)
      expect { machine.write_async(writer, "x", nil, -5) }.to raise_error(ArgumentError)
      expect { machine.write_async(writer) }.to raise_error(ArgumentError)
      expect(total_ops).to eq(0)
    end

    it "loses its errors" do
      close(reader)
      machine.write_async(writer, "x")
      machine.write_async(-1, "x")
      settle
      expect(pending).to eq(0)
    end

    it "survives garbage collection at any moment", :gc do
      [10, 1000].each { |size| machine.write_async(writer, "x" * size) }
      Array.new(10) { "garbage" * 100 }
      expect(received.size).to eq(1010)
    end
  end

  it "refuse what is no descriptor" do
    [nil, "1", $stdout].each do |bad|
      expect { machine.close_async(bad) }.to raise_error(TypeError)
      expect { machine.shutdown_async(bad, 0) }.to raise_error(TypeError)
    end
    expect { machine.shutdown_async(writer, nil) }.to raise_error(TypeError)
    expect(total_ops).to eq(0)
  end
end
