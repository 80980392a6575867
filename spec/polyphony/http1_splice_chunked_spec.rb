# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "IO.http1_splice_chunked", :polyphony do
  # The payload of a whole body in chunks, and the sizes of those.
  def decode(wire)
    sizes = []
    payload = +"".b
    until sizes.last&.zero?
      head, wire = wire.split("\r\n", 2)
      sizes << Integer(head, 16)
      payload << wire.byteslice(0, sizes.last)
      expect(wire.byteslice(sizes.last, 2)).to eq("\r\n")
      wire = wire.byteslice((sizes.last + 2)..)
    end
    expect(wire).to eq("")
    [payload, sizes]
  end

  # What comes of a source on the other end of a socket.
  def sent(source, max, sockets: UNIXSocket.pair)
    near, far = sockets
    received = spin { far.read }
    moved = IO.http1_splice_chunked(source, near, max)
    near.close
    [moved, *decode(received.await)]
  end

  it "sends a file in chunks with sizes in hex, and counts the payload" do
    data = random_bytes(1000)
    expect(sent(temporary_file(data), 26)).to eq([1000, data, [*([26] * 38), 12, 0]])
  end

  it "writes exactly that" do
    near, far = UNIXSocket.pair
    expect(IO.http1_splice_chunked(temporary_file("abcdefghijklmnopqrstuvwxyz"), near, 26)).to eq(26)
    expect(far.readpartial(100)).to eq("1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n")
  end

  it "ends an empty source with the last chunk alone" do
    near, far = UNIXSocket.pair
    expect(IO.http1_splice_chunked(temporary_file, near, 100)).to eq(0)
    expect(far.readpartial(100)).to eq("0\r\n\r\n")
  end

  it "sends 5 MB to a TCP socket, in chunks of any size", time_limit: 60 do
    data = random_bytes(5_000_000)
    [8192, 100_000, 10_000_000].each do |max|
      moved, payload, sizes = sent(temporary_file(data), max, sockets: tcp_pair)
      expect([moved, payload == data]).to eq([data.bytesize, true])
      expect(sizes.max).to be <= max
    end
  end

  it "takes a pipe, a Polyphony::Pipe and a socket for its source" do
    pipe = Polyphony.pipe
    pipe << "abc"
    pipe.close
    expect(sent(pipe, 100)).to eq([3, "abc", [3, 0]])
    reader, writer = IO.pipe
    writer << "defg"
    writer.close
    expect(sent(reader, 3)).to eq([4, "defg", [3, 1, 0]])
    near, far = tcp_pair
    far.write("hi")
    far.close
    expect(sent(near, 3)).to eq([2, "hi", [2, 0]])
  end

  it "shows the client whole chunks while the source has nothing" do
    reader, writer = IO.pipe
    near, far = tcp_pair
    moving = spin { IO.http1_splice_chunked(reader, near, 100) }
    %w[abc defg].each do |piece|
      writer << piece
      wanted = "#{piece.size}\r\n#{piece}\r\n"
      expect(spin { far.read(wanted.size) }.await).to eq(wanted)
    end
    writer.close
    expect(moving.await).to eq(7)
    expect(spin { far.read(5) }.await).to eq("0\r\n\r\n")
  end

  it "sends what Ruby has read ahead first, and what it has not flushed before that" do
    reader, writer = IO.pipe
    writer << "line\nread ahead"
    reader.gets
    writer << ", behind"
    writer.close
    near, far = UNIXSocket.pair
    near.sync = false
    near.write("head\r\n\r\n")
    expect(IO.http1_splice_chunked(reader, near, 100)).to eq(18)
    wire = far.readpartial(1000)
    expect(wire).to start_with("head\r\n\r\n")
    expect(decode(wire.delete_prefix("head\r\n\r\n")).first).to eq("read ahead, behind")
  end

  it "sends a source that can't be spliced" do
    File.open("/proc/self/status") do |status|
      moved, payload, = sent(status, 100)
      expect(payload).to start_with("Name:")
      expect(moved).to eq(payload.bytesize)
    end
  end

  it "writes to a pipe, a file, and a file that is open for appending" do
    reader, writer = IO.pipe
    expect(IO.http1_splice_chunked(temporary_file("abc"), writer, 2)).to eq(3)
    expect(reader.readpartial(100)).to eq("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    file = temporary_file
    expect(IO.http1_splice_chunked(temporary_file("abc"), file, 2)).to eq(3)
    expect(File.binread(file.path)).to eq("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    File.open(file.path, "ab") { |log| IO.http1_splice_chunked(temporary_file("d"), log, 2) }
    expect(File.binread(file.path)).to end_with("0\r\n\r\n1\r\nd\r\n0\r\n\r\n")
  end

  it "tells its block how far it is" do
    near, = UNIXSocket.pair
    told = []
    IO.http1_splice_chunked(temporary_file("abcde"), near, 2) { |moved| told << moved }
    expect(told).to eq([2, 4, 5])
  end

  it "is left by a break of its block, and leaves no pipe open" do
    near, = UNIXSocket.pair
    file = temporary_file("abcde")
    before = open_descriptors
    expect(IO.http1_splice_chunked(file, near, 2) { |moved| break moved }).to eq(2)
    expect(open_descriptors).to eq(before)
    expect(file.read).to eq("cde")
  end

  describe "bad arguments" do
    it "raises, and opens nothing" do
      file = temporary_file("abc")
      near, = UNIXSocket.pair
      before = open_descriptors
      [0, -1].each { |max| expect { IO.http1_splice_chunked(file, near, max) }.to raise_error(ArgumentError) }
      expect { IO.http1_splice_chunked(file, near, "1") }.to raise_error(TypeError)
      expect { IO.http1_splice_chunked("text", near, 1) }.to raise_error(TypeError)
      expect { IO.http1_splice_chunked(file, near) }.to raise_error(ArgumentError)
      expect(open_descriptors).to eq(before)
    end
  end

  it "raises when the client is gone, with the count, and leaves no pipe open" do
    near, far = tcp_pair
    far.setsockopt(Socket::Option.linger(true, 0))
    far.close
    file = temporary_file(random_bytes(10_000_000))
    before = open_descriptors
    expect { IO.http1_splice_chunked(file, near, 100_000) }.to raise_error(SystemCallError) { |error|
      expect([Errno::EPIPE, Errno::ECONNRESET]).to include(error.class)
      expect(error.bytes_moved).to be_between(0, 10_000_000)
    }
    # Less where others' are collected meanwhile.
    expect(open_descriptors).to be <= before
  end

  it "knows how much was sent when it is ended at some moment, and loses nothing", time_limit: 60 do
    data = random_bytes(400_000)
    before = open_descriptors
    100.times do |round|
      near, far = UNIXSocket.pair
      source, feeder = UNIXSocket.pair
      feeding = spin { feeder.write(data) && feeder.close }
      count = nil
      moving = spin do
        IO.http1_splice_chunked(source, near, 7000)
      rescue Polyphony::Terminate => e
        count = e.bytes_moved
      end
      draining = spin { loop { far.readpartial(20_000) } rescue EOFError } # rubocop:disable Style/RescueModifier
      (round % 17).times { snooze }
      Polyphony.machine.schedule(moving, Polyphony::Terminate.new)
      Polyphony.machine.await(moving)
      rest = spin { source.read }.await
      expect(rest == data.byteslice((count || 0)..)).to be(true), "round #{round}: #{count.inspect}"
      near.close
      Fiber.await(feeding, draining)
      [far, source].each(&:close)
    end
    expect(open_descriptors).to be <= before # the collector may close others
  end

  it "sends with the collector at work", :gc do
    expect(sent(temporary_file("abcde"), 2)).to eq([5, "abcde", [2, 2, 1, 0]])
  end
end
