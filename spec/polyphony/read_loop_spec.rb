# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "IO#read_loop", :polyphony do
  let(:ends) { IO.pipe(binmode: true) }
  let(:reader) { ends.first }
  let(:writer) { ends.last }

  def collect(io, *maxlen)
    [].tap { |chunks| io.read_loop(*maxlen) { |chunk| chunks << chunk } }
  end

  # A fiber that is in its first wait.
  def waiting(&)
    fiber = spin(&)
    snooze
    fiber
  end

  contexts = {
    "in the root fiber" => ->(&block) { block.call },
    "in a spun fiber" => ->(&block) { spin(&block).await },
    "in a scheduled fiber" => lambda do |&block|
      queue = Thread::Queue.new
      Fiber.schedule { queue << block.call }
      spin { queue.pop }.await
    end
  }

  contexts.each do |name, run|
    context name, :gc do
      define_method(:in_context) { |&block| run.call(&block) }

      it "yields what comes in, up to EOF" do
        spin do
          %w[one two].each do |word|
            writer << word
            snooze
          end
          writer.close
        end
        expect(in_context { collect(reader).join }).to eq("onetwo")
      end

      it "returns the IO" do
        writer.close
        expect(in_context { reader.read_loop { raise "never" } }).to be(reader)
      end

      it "is left by break, with its value" do
        writer << "abc"
        expect(in_context { reader.read_loop { |chunk| break chunk } }).to eq("abc")
      end
    end
  end

  describe "the chunks" do
    it "have 8192 bytes at most" do
      writer << ("x" * 20_000)
      writer.close
      expect(collect(reader).map(&:bytesize)).to eq([8192, 8192, 3616])
    end

    it "have as many bytes as is said at most" do
      writer << "abcdefgh"
      writer.close
      expect(collect(reader, 3)).to eq(%w[abc def gh])
    end

    it "are binary Strings of their own, to be changed", :gc do
      writer << "\u00e4bc"
      writer.close
      chunks = collect(reader, 2)
      chunks.each { |chunk| chunk << "!" }
      expect(chunks).to eq(["\xC3\xA4!".b, "bc!".b])
      expect(chunks.map(&:encoding)).to all(be(Encoding::BINARY))
    end

    it "stay what they were while the loop goes on, full ones and others", :gc do
      data = random_bytes(40_000)
      reader, writer = IO.pipe
      writer << data
      writer.close
      chunks = []
      reader.read_loop(3000) { chunks << _1 }
      expect(chunks.map(&:bytesize)).to eq(([3000] * 13) << 1000)
      expect(chunks.join == data).to be(true)
    end

    it "are all of a file" do
      data = random_bytes(100_000)
      file = temporary_file(data)
      expect(collect(file).join == data).to be(true)
      expect(file.pos).to eq(data.bytesize)
    end

    it "are all that a TCP connection brings" do
      near, far = tcp_pair
      data = random_bytes(1_000_000)
      spin do
        far.write(data)
        far.close
      end
      expect(collect(near).join == data).to be(true)
    end

    it "come through a descriptor without O_NONBLOCK" do
      blocking, other = UM.pipe.map { |fd| IO.for_fd(fd) }
      reading = waiting { collect(blocking) }
      other.syswrite("abc")
      other.close
      expect(reading.await).to eq(["abc"])
    end
  end

  describe "what Ruby has read ahead" do
    it "comes first" do
      writer << "line\nahead"
      reader.gets
      writer << "behind"
      writer.close
      expect(collect(reader)).to eq(%w[ahead behind])
    end

    it "comes first as well when the block has read it ahead" do
      writer << "first\nsecond\nthird\n"
      writer.close
      lines = []
      reader.read_loop(6) { |chunk| lines << chunk << reader.gets }
      expect(lines).to eq(["first\n", "second\n", "third\n", nil])
    end

    it "comes in chunks of the size that is said" do
      writer << "line\nahead"
      writer.close
      reader.gets
      expect(collect(reader, 2)).to eq(%w[ah ea d])
    end
  end

  it "leaves what it has not yielded to the next reader" do
    writer << "abcdef"
    reader.read_loop(2) { break }
    expect(reader.readpartial(10)).to eq("cdef")
  end

  it "leaves the rest to the next reader after full chunks" do
    reader, writer = IO.pipe
    writer << "aaaaaaaabbbbbbbbcccccccc"
    count = 0
    reader.read_loop(8) { (count += 1) == 2 && break }
    expect(reader.readpartial(100)).to eq("c" * 8)
  end

  it "lets the others run while there is always more" do
    reader, writer = IO.pipe
    ended = false
    feeding = spin { writer << ("x" * 65_536) until ended }
    other = spin { 3.times { snooze } && ended = true }
    reader.read_loop(16) { break if ended }
    writer.close
    reader.close
    expect(other.await).to be(true)
    feeding.await rescue nil # rubocop:disable Style/RescueModifier -- EPIPE, as nobody reads
  end

  it "lets exceptions of the block through" do
    writer << "abc"
    expect { reader.read_loop { raise KeyError } }.to raise_error(KeyError)
    writer << "next"
    expect(reader.readpartial(10)).to eq("next")
  end

  it "may be nested" do
    writer << "abcd"
    writer.close
    chunks = []
    reader.read_loop(1) do |outer|
      chunks << outer
      reader.read_loop(1) { |inner| break chunks << inner }
    end
    expect(chunks.join).to eq("abcd")
  end

  describe "being interrupted" do
    it "ends by a timeout of the machine, and takes nothing away" do
      expect { interrupt_after(0.01) { collect(reader) } }
        .to raise_error(SpecSupport::InPolyphony::Interrupted)
      writer << "later"
      expect(reader.readpartial(10)).to eq("later")
    end

    it "ends by an exception that is scheduled into it" do
      fiber = waiting { collect(reader) }
      Polyphony.machine.schedule(fiber, KeyError.new("stop"))
      expect { fiber.await }.to raise_error(KeyError, "stop")
    end

    it "puts back what came in together with the exception" do
      fiber = waiting { collect(reader) }
      writer.write_nonblock("both")
      Polyphony.machine.schedule(fiber, KeyError.new("stop"))
      expect { fiber.await }.to raise_error(KeyError)
      expect(reader.read_nonblock(10)).to eq("both")
    end

    it "goes on after a stray value" do
      fiber = waiting { collect(reader) }
      Polyphony.machine.schedule(fiber, :stray)
      snooze
      writer << "abc"
      writer.close
      expect(fiber.await).to eq(["abc"])
    end
  end

  describe "IO#timeout" do
    it "holds for each wait" do
      reader.timeout = 0.01
      writer << "abc"
      chunks = []
      expect { reader.read_loop { |chunk| chunks << chunk } }.to raise_error(IO::TimeoutError)
      expect(chunks).to eq(["abc"])
      writer << "later"
      expect(reader.readpartial(10)).to eq("later")
    end
  end

  describe "closing the IO" do
    it "ends a loop that waits in another fiber", :gc do
      fiber = waiting { collect(reader) }
      reader.close
      expect { fiber.await }.to raise_error(IOError, /closed/)
    end

    it "ends a loop that waits for a socket" do
      near, = tcp_pair
      fiber = waiting { collect(near) }
      near.close
      expect { fiber.await }.to raise_error(IOError, /closed/)
    end

    it "ends it from another thread" do
      fiber = waiting { collect(reader) }
      Thread.new { reader.close }.join
      expect { fiber.await }.to raise_error(IOError, /closed/)
    end

    it "tells a loop that is in its block at its next chunk" do
      writer << "abc"
      expect { reader.read_loop { reader.close } }.to raise_error(IOError, /closed/)
    end

    it "leaves a fiber alone that waits for something else" do
      other_reader, other_writer = IO.pipe
      fiber = waiting { collect(other_reader) }
      reader.close
      snooze
      other_writer << "abc"
      other_writer.close
      expect(fiber.await).to eq(["abc"])
    end
  end

  describe "bad input" do
    it "needs a block" do
      expect { reader.read_loop }.to raise_error(LocalJumpError)
    end

    it "refuses sizes that are none" do
      [0, -1].each { |size| expect { collect(reader, size) }.to raise_error(ArgumentError) }
      [nil, "1", 1.5].each { |size| expect { collect(reader, size) }.to raise_error(TypeError) }
      [2**31, 2**64].each { |size| expect { collect(reader, size) }.to raise_error(RangeError) }
    end

    it "raises for an IO that is closed" do
      reader.close
      expect { collect(reader) }.to raise_error(IOError)
    end

    it "raises for an IO that is not open for reading" do
      expect { collect(writer) }.to raise_error(IOError, /not opened for reading/)
    end

    it "raises what the kernel says" do
      expect { collect(File.open("/")) }.to raise_error(Errno::EISDIR)
    end

    it "raises a reset of the connection" do
      near, far = tcp_pair
      fiber = waiting { collect(near) }
      far.setsockopt(Socket::Option.linger(true, 0))
      far.close
      expect { fiber.await }.to raise_error(Errno::ECONNRESET)
    end
  end

  it "goes on behind an empty datagram, wherever it runs" do
    chunks = lambda do
      near, far = UNIXSocket.pair(:SEQPACKET)
      ["one", "", "two"].each { |text| far.send(text, 0) }
      far.close
      collect(near)
    end
    expect([chunks.call, spin(&chunks).await, Thread.new(&chunks).value]).to eq([["one", "", "two"]] * 3)
  end

  it "serves many connections at once" do
    pairs = Array.new(50) { UNIXSocket.pair }
    readers = pairs.map { |near, _| spin { collect(near, 1000).join } }
    pairs.each_with_index do |(_, far), index|
      spin do
        3.times { far.write(index.to_s * 1000) and snooze }
        far.close
      end
    end
    expected = Array.new(50) { |index| index.to_s * 3000 }
    expect(Fiber.await(readers) == expected).to be(true)
  end

  it "goes on in a forked child, without its parent's ring" do
    writer << "ab"
    output, child = IO.pipe
    pid = nil
    reader.read_loop(1) do |chunk|
      break if chunk == "a" && (pid = fork)
      next if chunk == "a"

      child.syswrite("child: #{chunk}")
      exit!(0)
    end
    Process.wait(pid)
    child.close
    expect(output.read).to eq("child: b")
  end
end
