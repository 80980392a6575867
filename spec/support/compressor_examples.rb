# frozen_string_literal: true

require_relative "compression"
require_relative "foreign_scheduler"
require_relative "polyphony"

# What `IO.gzip` and `IO.deflate` have in common.
#
# method: the one that compresses; expand: Zlib's that decompresses; window: Zlib::Inflate's
RSpec.shared_examples "a compressor" do |method, expand, window|
  include SpecSupport::Compression

  define_method(:compress) { |*args, **options, &block| IO.public_send(method, *args, **options, &block) }
  define_method(:expand) { |data| expand.call(data) }

  SpecSupport::Compression::SOURCES.each do |kind|
    it "compresses what comes from: #{kind}" do
      compressed = String.new
      expect(compress(source(kind, sample), compressed)).to eq(compressed.bytesize)
      expect(expand(compressed) == sample).to be(true)
    end

    it "compresses nothing that comes from: #{kind}" do
      expect(expand(result_of(method, source(kind, "")))).to eq("")
    end
  end

  SpecSupport::Compression::DESTINATIONS.each do |kind|
    it "writes to: #{kind}, and counts it" do
      written, compressed = with_destination(kind) { |destination| compress(sample, destination) }
      expect(written).to eq(compressed.bytesize)
      expect(expand(compressed) == sample).to be(true)
    end
  end

  it "moves from a socket to a socket" do
    data = sample(2_000_000)
    _, compressed = with_destination(:socket) { |socket| compress(source(:socket, data), socket) }
    expect(expand(compressed) == data).to be(true)
  end

  it "goes on where Ruby has read ahead, and behind what it has not written yet" do
    reader, writer = IO.pipe
    writer << "first line\nrest"
    writer.close
    expect(reader.gets).to eq("first line\n")
    target = temporary_file
    target.write("head")
    compress(reader, target)
    expect(expand(File.binread(target.path).delete_prefix("head"))).to eq("rest")
  end

  it "goes on behind an empty datagram, to the end of what can come" do
    near, far = UNIXSocket.pair(:SEQPACKET)
    ["one", "", "two", ""].each { |text| far.send(text, 0) }
    far.close
    expect(expand(result_of(method, near))).to eq("onetwo")
  end

  it "begins at a file's position and ends at its end" do
    file = temporary_file("0123456789")
    file.seek(4)
    expect(expand(result_of(method, file))).to eq("456789")
    expect(file.pos).to eq(10)
  end

  it "appends to a String, whose encoding stays" do
    string = +"é"
    compress("data", string)
    expect(string.encoding).to eq(Encoding::UTF_8)
    expect(expand(string.b.delete_prefix("é".b))).to eq("data")
  end

  it "leaves the destination open" do
    file = temporary_file
    compress("data", file)
    expect(file).not_to be_closed
  end

  it "takes a String as it is when it is called" do
    source = sample.dup
    reader, writer = IO.pipe(binmode: true)
    compressing = spin do
      compress(source, writer)
      writer.close
    end
    Polyphony.machine.snooze
    source.replace("something else")
    compressed = spin { reader.read }.await
    compressing.await
    expect(expand(compressed) == sample).to be(true)
  end

  describe "options" do
    it "compresses better at a higher level" do
      sizes = [0, 1, 9].map { |level| compress(sample, String.new, level:) }
      expect(sizes).to eq(sizes.sort.reverse).and eq(sizes.uniq)
      expect(sizes.first).to be > sample.bytesize
    end

    it "has 6 as the usual level" do
      sizes = [nil, -1, 6].map { |level| compress(sample, String.new, level:) }
      expect(sizes.uniq).to eq([compress(sample, String.new)])
    end

    it "makes the same of buffers of any size" do
      data = sample(5000)
      [1, 100, 100_000].each do |buffer_size|
        expect(expand(result_of(method, temporary_file(data), buffer_size:))).to eq(data)
      end
    end

    it "makes one stream by several threads, the same by any number of them" do
      data = sample(1_000_000)
      info = method == :gzip ? { mtime: 0 } : {}
      compressed = [2, 3, 1000].map { |threads| result_of(method, data, threads:, **info) }
      expect(expand(compressed.first) == data).to be(true)
      expect(compressed.uniq.size).to eq(1)
    end

    it "refuses what is out of range, before anything is read" do
      file = temporary_file("abc")
      sizes = [{ buffer_size: 0 }, { buffer_size: 1 << 40 }]
      [{ level: 10 }, { level: -2 }, *sizes, { threads: 0 }, { strategy: 1 }].each do |options|
        expect { compress(file, String.new, **options) }.to raise_error(ArgumentError)
      end
      %i[level buffer_size threads sync].each do |name|
        expect { compress(file, String.new, name => "1") }.to raise_error(TypeError)
      end
      expect(file.pos).to eq(0)
    end
  end

  it "tells its block how much is written, up to all of it" do
    told = []
    written = compress(random_bytes(500_000), temporary_file) { |count| told << count }
    expect(told).to eq(told.uniq.sort)
    expect(told.last).to eq(written)
    expect(told.size).to be > 1
  end

  it "is left by break and by an exception of its block" do
    expect(compress(random_bytes(500_000), temporary_file) { break :left }).to eq(:left)
    expect { compress(random_bytes(500_000), temporary_file) { raise "no more" } }.to raise_error("no more")
  end

  describe "errors" do
    it "refuses ends that are none" do
      [nil, Object.new, :symbol].each do |object|
        expect { compress(object, String.new) }.to raise_error(TypeError)
        expect { compress("", object) }.to raise_error(TypeError)
      end
    end

    it "refuses a frozen String" do
      expect { compress("", "frozen") }.to raise_error(FrozenError)
    end

    it "refuses ends that are closed" do
      closed = temporary_file.tap(&:close)
      expect { compress(closed, String.new) }.to raise_error(IOError)
      expect { compress("", closed) }.to raise_error(IOError)
    end

    it "refuses to read from what is open for writing only" do
      _reader, writer = IO.pipe
      expect { compress(writer, String.new) }.to raise_error(IOError)
    end

    it "raises what the source and the destination raise" do
      broken = StringIO.new("x")
      def broken.readpartial(*) = raise("broken source")
      expect { compress(broken, String.new) }.to raise_error("broken source")
      def broken.write(*) = raise("broken destination")
      expect { compress("x", broken) }.to raise_error("broken destination")
      def broken.readpartial(*) = 5
      expect { compress(broken, String.new) }.to raise_error(TypeError)
      expect { compress(-> { 5 }, String.new) }.to raise_error(TypeError)
      expect { compress(->(max) { max }, String.new) }.to raise_error(ArgumentError)
      expect { compress("x", -> {}) }.to raise_error(ArgumentError)
    end

    it "raises ENOSPC and EPIPE, and says how much was written" do
      File.open("/dev/full", "wb") do |full|
        expect { compress("x", full) }
          .to raise_error(Errno::ENOSPC) { |error| expect(error.bytes_moved).to eq(0) }
      end
      reader, writer = IO.pipe
      reader.close
      expect { compress("x", writer) }.to raise_error(Errno::EPIPE)
    end

    it "ends when another fiber closes the source" do
      reader, _writer = IO.pipe
      compressing = spin { compress(reader, String.new) }
      Polyphony.machine.snooze
      reader.close
      expect { compressing.await }.to raise_error(IOError)
    end
  end

  describe "a source that is silent" do
    # What arrives is decompressed while the source stays open.
    def talk(...) = spin { talk_in_fiber(...) }.await

    def talk_in_fiber(reader, writer, **options)
      from, to = IO.pipe(binmode: true)
      compressing = spin { compress(reader, to, **options) }
      inflate = Zlib::Inflate.new(window)
      heard = +""
      %w[hello world again].each do |word|
        writer.write(word)
        writer.flush
        eventually(heard + word) { heard << inflate.inflate(from.readpartial(1000)) }
      end
      writer.close
      compressing.await
      to.close
      heard << inflate.inflate(from.read)
      expect([heard, inflate.finished?]).to eq(["helloworldagain", true])
    ensure
      inflate&.close
    end

    define_method(:window) { window }

    it("is flushed: a pipe") { talk(*IO.pipe) }
    it("is flushed: a pipe, at once where that is asked for") { talk(*IO.pipe, sync: true) }
    it("is flushed: a socket") { talk(*UNIXSocket.pair) }
    it("is flushed: a TCP socket, while several threads compress") { talk(*tcp_pair, threads: 2) }

    it "is not flushed where that is not wanted: nothing comes before the end" do
      reader, writer = IO.pipe
      compressed = String.new
      compressing = spin { compress(reader, compressed, sync: false) }
      writer << "hello"
      sleep 0.1
      expect(compressed).to eq("")
      writer.close
      compressing.await
      expect(expand(compressed)).to eq("hello")
    end

    it "is not flushed for a file: the size is that of a String's" do
      expect(compress(temporary_file(sample), String.new)).to eq(compress(sample, String.new))
    end
  end

  describe "interruption" do
    it "ends a wait for the source" do
      reader, = IO.pipe
      expect { interrupt_after(0.01) { compress(reader, String.new) } }
        .to raise_error(SpecSupport::InPolyphony::Interrupted)
    end

    it "ends a wait for the destination, and says how much was written" do
      reader, writer = IO.pipe
      expect { interrupt_after(0.05) { compress(random_bytes(1_000_000), writer) } }
        .to raise_error(SpecSupport::InPolyphony::Interrupted) { |error|
          expect(error.bytes_moved).to eq(reader.read_nonblock(1_000_000).bytesize)
        }
    end

    it "may come at any moment" do
      files = [temporary_file(sample(1_000_000)), temporary_file]
      compress(*files)
      ended = Array.new(30) do |i|
        files.each(&:rewind)
        fiber = spin { compress(*files, threads: 1 + (i % 3)) }
        Polyphony.machine.snooze
        sleep(i * 0.0005)
        Polyphony.machine.schedule(fiber, SpecSupport::InPolyphony::Interrupted.new) unless fiber.done?
        fiber.await
      rescue SpecSupport::InPolyphony::Interrupted
        :interrupted
      end
      expect(ended).to include(:interrupted)
    end

    it "is none when the fiber is scheduled with a plain value" do
      reader, writer = IO.pipe
      compressed = String.new
      fiber = spin { compress(reader, compressed) }
      Polyphony.machine.snooze
      Polyphony.machine.schedule(fiber, :nothing)
      feed(writer, "data")
      fiber.await
      expect(expand(compressed)).to eq("data")
    end
  end

  it "compresses two hundred streams through sockets at once" do
    data = sample(20_000)
    streams = Array.new(200) do |i|
      near, far = UNIXSocket.pair
      feed(far, data + i.to_s)
      spin { result_of(method, near).tap { near.close } }
    end
    results = Fiber.await(*streams).map { |stream| expand(stream) }
    expect(results == Array.new(200) { |i| data + i.to_s }).to be(true)
  end

  it "lets other fibers run" do
    turns = 0
    spin { loop { Polyphony.machine.snooze.then { turns += 1 } } }
    compress(sample(3_000_000), String.new)
    expect(turns).to be > 10
  end

  it "survives the GC", :gc do
    _, compressed = with_destination(:pipe) { |pipe| compress(source(:pipe, "data" * 1000), pipe) }
    expect(expand(compressed)).to eq("data" * 1000)
  end
end

# The same where another scheduler, or none, lets fibers wait.
RSpec.shared_examples "a compressor elsewhere" do |method, expand, window|
  include SpecSupport::Compression
  include SpecSupport::InPolyphony

  elsewhere = {
    "under another scheduler" => ->(&block) { SpecSupport::ForeignScheduler.run { block.call } },
    "in a plain thread" => ->(&block) { Thread.new(&block).tap { _1.report_on_exception = false }.value }
  }

  elsewhere.each do |name, run|
    context name do
      define_method(:elsewhere) { |&block| run.call(&block) }

      it "compresses files, Strings and descriptors" do
        %i[file string descriptor stringio callable].each do |kind|
          compressed = elsewhere { result_of(method, source(kind, sample)) }
          expect(expand.call(compressed) == sample).to be(true), kind.to_s
        end
      end

      it "writes to files, descriptors and objects" do
        %i[file descriptor stringio array callable].each do |kind|
          compressed = elsewhere { with_destination(kind) { |to| IO.public_send(method, sample, to) }.last }
          expect(expand.call(compressed) == sample).to be(true), kind.to_s
        end
      end

      SpecSupport::Compression::TEXT_MODES.each do |mode, options|
        it "writes bytes as they are to a file of #{mode} #{options}, whose mode stays" do
          data = ("line\n".b * 100) + random_bytes(5000)
          written = elsewhere { between_lines(mode, options) { |file| IO.public_send(method, data, file) } }
          expect(expand.call(written) == data).to be(true)
        end
      end

      it "writes bytes as they are to a pipe that takes them slowly, and reads them so" do
        data = ("line\r\n".b * 100) + random_bytes(300_000)
        from, to = IO.pipe
        from.binmode
        to.set_encoding("UTF-16LE", crlf_newline: true)
        reading = Thread.new { from.read }
        text = File.open(temporary_file(data).path, "r:UTF-16LE:UTF-8")
        elsewhere { IO.public_send(method, text, to) }
        to.close
        expect(expand.call(reading.value) == data).to be(true)
        text.close
      end

      it "raises IO::TimeoutError when a pipe takes nothing for too long" do
        reader, writer = IO.pipe
        writer.timeout = 0.01
        expect { elsewhere { IO.public_send(method, random_bytes(300_000), writer) } }
          .to raise_error(IO::TimeoutError) { |error|
            expect(error.bytes_moved).to eq(reader.read_nonblock(300_000).bytesize)
          }
      end

      it "goes on behind an empty datagram" do
        near, far = UNIXSocket.pair(:SEQPACKET)
        ["one", "", "two", ""].each { |text| far.send(text, 0) }
        far.close
        expect(expand.call(elsewhere { result_of(method, near) })).to eq("onetwo")
      end

      it "flushes when a pipe is silent" do
        reader, writer = IO.pipe
        from, to = IO.pipe(binmode: true)
        compressing = Thread.new { elsewhere { IO.public_send(method, reader, to) } }
        inflate = Zlib::Inflate.new(window)
        heard = +""
        writer << "hello"
        eventually("hello") { heard << inflate.inflate(from.readpartial(1000)) }
        writer.close
        expect(compressing.value).to be > 5
        inflate.close
      end
    end
  end
end
