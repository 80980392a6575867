# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "BasicSocket#recv_loop", :polyphony do
  def collect(socket, *maxlen)
    [].tap { |chunks| socket.recv_loop(*maxlen) { |chunk| chunks << chunk } }
  end

  def waiting(&)
    fiber = spin(&)
    snooze
    fiber
  end

  describe "on a TCP connection" do
    let!(:pair) { tcp_pair }
    let(:near) { pair.first }
    let(:far) { pair.last }

    it "yields what comes in, up to EOF, and returns the socket", :gc do
      data = random_bytes(300_000)
      spin do
        far.write(data)
        far.close
      end
      chunks = []
      expect(near.recv_loop { |chunk| chunks << chunk }).to be(near)
      expect(chunks.join == data).to be(true)
      expect(chunks.map(&:bytesize).max).to be <= 8192
    end

    it "yields as many bytes as is said at most" do
      far.write("abcde")
      far.close
      expect(collect(near, 2)).to eq(%w[ab cd e])
    end

    it "yields first what Ruby has read ahead" do
      far.write("line\nahead")
      near.gets
      far.close
      expect(collect(near)).to eq(["ahead"])
    end

    it "is left by break, and the rest can be received" do
      far.write("abcd")
      expect(near.recv_loop(2) { |chunk| break chunk }).to eq("ab")
      expect(near.recv(10)).to eq("cd")
    end

    it "ends when this side shuts down" do
      fiber = waiting { collect(near) }
      near.shutdown(:RD)
      expect(fiber.await).to eq([])
    end

    it "ends with an IOError when the socket is closed" do
      fiber = waiting { collect(near) }
      near.close
      expect { fiber.await }.to raise_error(IOError, /closed/)
    end

    it "ends by a timeout of the machine" do
      expect { interrupt_after(0.01) { collect(near) } }.to raise_error(SpecSupport::InPolyphony::Interrupted)
    end

    it "honours IO#timeout" do
      near.timeout = 0.01
      expect { collect(near) }.to raise_error(IO::TimeoutError)
    end
  end

  describe "on datagrams" do
    let!(:pair) { UNIXSocket.pair(:DGRAM) }
    let(:near) { pair.first }
    let(:far) { pair.last }

    it "yields each, an empty one as well, until it is shut down", :gc do
      ["one", "", "two"].each { |text| far.send(text, 0) }
      chunks = []
      near.recv_loop do |chunk|
        chunks << chunk
        near.shutdown(:RD) if chunks.size == 3
      end
      expect(chunks).to eq(["one", "", "two"])
    end

    it "waits for each" do
      fiber = waiting { near.recv_loop { |chunk| break chunk } }
      far.send("late", 0)
      expect(fiber.await).to eq("late")
    end

    it "yields what fits of one that is too long" do
      far.send("abcdef", 0)
      far.send("gh", 0)
      chunks = []
      near.recv_loop(4) { |chunk| chunks.push(chunk).size == 2 && break }
      expect(chunks).to eq(%w[abcd gh])
    end

    it "loses none to an interruption" do
      fiber = waiting { collect(near) }
      far.send("whole", 0)
      Polyphony.machine.schedule(fiber, KeyError.new)
      expect { fiber.await }.to raise_error(KeyError)
      expect(near.recv_nonblock(10)).to eq("whole")
    end

    it "honours IO#timeout" do
      near.timeout = 0.01
      expect { collect(near) }.to raise_error(IO::TimeoutError)
    end

    it "ends with an IOError when the socket is closed" do
      fiber = waiting { collect(near) }
      near.close
      expect { fiber.await }.to raise_error(IOError, /closed/)
    end

    it "yields those of UDP" do
      receiver = UDPSocket.new.tap { |socket| socket.bind("127.0.0.1", 0) }
      UDPSocket.new.send("hello", 0, "127.0.0.1", receiver.local_address.ip_port)
      expect(receiver.recv_loop { |chunk| break chunk }).to eq("hello")
    end
  end

  it "yields the records of SOCK_SEQPACKET, up to EOF" do
    near, far = UNIXSocket.pair(:SEQPACKET)
    far.send("one", 0)
    far.send("two", 0)
    far.close
    expect(collect(near)).to eq(%w[one two])
  end

  it "needs a block, a size and a socket" do
    near, = UNIXSocket.pair
    expect { near.recv_loop }.to raise_error(LocalJumpError)
    expect { collect(near, 0) }.to raise_error(ArgumentError)
    expect { collect(near, "1") }.to raise_error(TypeError)
    near.close
    expect { collect(near) }.to raise_error(IOError)
    expect(IO.pipe.first).not_to respond_to(:recv_loop)
  end
end
