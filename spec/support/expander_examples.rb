# frozen_string_literal: true

require_relative "compression"
require_relative "foreign_scheduler"
require_relative "polyphony"

# What `IO.gunzip` and `IO.inflate` have in common.
#
# method: the one that decompresses; compress: Zlib's that compresses; truncated: the error for a
# stream that ends in its data
RSpec.shared_examples "an expander" do |method, compress, truncated|
  include SpecSupport::Compression

  define_method(:expand) { |*args, **options, &block| IO.public_send(method, *args, **options, &block) }
  define_method(:compress) { |data| compress.call(data) }

  # Calls the block with an error that the stream brings about, and with what came out before it.
  def expect_error(stream, error, **options)
    string = String.new
    expect { expand(stream, string, **options) }.to raise_error(error) { |raised|
      expect(raised.bytes_moved).to eq(string.bytesize)
      yield string if block_given?
    }
  end

  SpecSupport::Compression::SOURCES.each do |kind|
    it "decompresses what comes from: #{kind}" do
      data = String.new
      expect(expand(source(kind, compress(sample)), data)).to eq(sample.bytesize)
      expect(data == sample).to be(true)
    end

    it "decompresses a stream of nothing that comes from: #{kind}" do
      expect(result_of(method, source(kind, compress("")))).to eq("")
    end

    it "raises for no stream at all from: #{kind}" do
      expect { expand(source(kind, ""), String.new) }.to raise_error(truncated)
    end
  end

  SpecSupport::Compression::DESTINATIONS.each do |kind|
    it "writes to: #{kind}, and counts it" do
      written, data = with_destination(kind) { |destination| expand(compress(sample), destination) }
      expect(written).to eq(sample.bytesize)
      expect(data == sample).to be(true)
    end
  end

  it "makes the same by buffers of any size" do
    stream = compress(sample(5000))
    [1, 100, 1_000_000].each do |buffer_size|
      expect(result_of(method, temporary_file(stream), buffer_size:)).to eq(sample(5000))
    end
  end

  it "writes what has arrived while the source stays open" do
    from, to = IO.pipe
    reader, writer = IO.pipe
    expanding = spin { expand(from, writer) }
    stream = compress(sample)
    heard = spin do
      to.write(stream.byteslice(0, 50_000))
      reader.readpartial(1000)
    end.await
    to.close
    expect(sample).to start_with(heard)
    spin { reader.read }
    expect { expanding.await }.to raise_error(truncated)
  end

  it "tells its block how much is written, up to all of it" do
    told = []
    expand(compress(sample), String.new) { |count| told << count }
    expect(told).to eq(told.uniq.sort)
    expect(told.last).to eq(sample.bytesize)
  end

  describe "errors" do
    it "raises for a stream that is cut anywhere, and has written what was good" do
      stream = compress("some data that is not long")
      stream.bytesize.times do |length|
        expect { expand(stream.byteslice(0, length), String.new) }.to raise_error(Zlib::Error)
      end
      expect_error(compress(sample).byteslice(0, 50_000), truncated) do |good|
        expect(sample).to start_with(good)
      end
    end

    it "raises for what is no such stream" do
      expect_error("something else", method == :gunzip ? Zlib::GzipFile::Error : Zlib::DataError)
    end

    it "raises for data that is none" do
      # A block of the kind that there isn't, in place of the last one, which is empty.
      deflate = Zlib::Deflate.new(nil, method == :gunzip ? 31 : 15)
      stream = deflate.deflate("good data", Zlib::SYNC_FLUSH)
      deflate.close
      expect_error("#{stream}\x07", Zlib::DataError) { |good| expect(good).to eq("good data") }
    end

    it "raises for garbage behind the stream, once all of it is written" do
      error = method == :gunzip ? Zlib::GzipFile::Error : Zlib::DataError
      expect_error("#{compress("data")}garbage", error) { |good| expect(good).to eq("data") }
    end

    it "raises where more would come out than is allowed" do
      expect(expand(compress("x" * 1000), String.new, max_output: 1000)).to eq(1000)
      expect_error(compress("x" * 1001), Zlib::DataError, max_output: 1000)
      bomb = compress("\0" * 20_000_000)
      expect_error(temporary_file(bomb), Zlib::DataError, max_output: 100_000) do |good|
        expect(good.bytesize).to be <= 100_000
      end
    end

    it "refuses options that can't be" do
      [{ max_output: 0 }, { buffer_size: -1 }, { level: 1 }, { threads: 2 }].each do |options|
        expect { expand("", String.new, **options) }.to raise_error(ArgumentError)
      end
      expect { expand("", String.new, max_output: "1") }.to raise_error(TypeError)
    end

    it "refuses ends that are none, and a frozen String" do
      expect { expand(nil, String.new) }.to raise_error(TypeError)
      expect { expand("", nil) }.to raise_error(TypeError)
      expect { expand("", "") }.to raise_error(FrozenError)
    end
  end

  describe "interruption" do
    it "ends a wait for the source" do
      reader, = IO.pipe
      expect { interrupt_after(0.01) { expand(reader, String.new) } }
        .to raise_error(SpecSupport::InPolyphony::Interrupted)
    end

    it "may come at any moment" do
      files = [temporary_file(compress(sample(3_000_000))), temporary_file]
      ended = Array.new(30) do |i|
        files.each(&:rewind)
        fiber = spin { expand(*files) }
        Polyphony.machine.snooze
        sleep(i * 0.0003)
        Polyphony.machine.schedule(fiber, SpecSupport::InPolyphony::Interrupted.new) unless fiber.done?
        fiber.await
      rescue SpecSupport::InPolyphony::Interrupted
        :interrupted
      end
      expect(ended).to include(:interrupted)
    end
  end

  it "decompresses two hundred streams through sockets at once" do
    streams = Array.new(200) do |i|
      near, far = UNIXSocket.pair
      feed(far, compress(sample(20_000) + i.to_s))
      spin { result_of(method, near).tap { near.close } }
    end
    expect(Fiber.await(*streams) == Array.new(200) { |i| sample(20_000) + i.to_s }).to be(true)
  end

  it "survives the GC", :gc do
    _, data = with_destination(:pipe) { |pipe| expand(source(:pipe, compress("data" * 1000)), pipe) }
    expect(data).to eq("data" * 1000)
    expect_error("no stream", Zlib::Error)
  end
end

# The same where another scheduler, or none, lets fibers wait.
RSpec.shared_examples "an expander elsewhere" do |method, compress|
  include SpecSupport::Compression
  include SpecSupport::InPolyphony

  elsewhere = {
    "under another scheduler" => ->(&block) { SpecSupport::ForeignScheduler.run { block.call } },
    "in a plain thread" => ->(&block) { Thread.new(&block).tap { _1.report_on_exception = false }.value }
  }

  elsewhere.each do |name, run|
    it "decompresses #{name}" do
      %i[file string descriptor stringio].each do |kind|
        data = run.call { result_of(method, source(kind, compress.call(sample))) }
        expect(data == sample).to be(true), kind.to_s
      end
      %i[file descriptor stringio array].each do |kind|
        stream = compress.call(sample)
        data = run.call { with_destination(kind) { |to| IO.public_send(method, stream, to) }.last }
        expect(data == sample).to be(true), kind.to_s
      end
      expect { run.call { result_of(method, "no stream") } }.to raise_error(Zlib::Error)
    end

    it "writes bytes as they are to files of any mode, which stays, #{name}" do
      data = ("line\n".b * 100) + random_bytes(5000)
      SpecSupport::Compression::TEXT_MODES.each do |mode, options|
        expand = ->(file) { IO.public_send(method, compress.call(data), file) }
        written = run.call { between_lines(mode, options, &expand) }
        expect(written == data).to be(true), mode
      end
    end

    it "decompresses from pipe to pipe #{name}" do
      from, to = IO.pipe(binmode: true)
      reader, writer = IO.pipe(binmode: true)
      threads = [Thread.new { to.write(compress.call(sample)).then { to.close } }, Thread.new { reader.read }]
      run.call { IO.public_send(method, from, writer) }
      writer.close
      expect(threads.last.value == sample).to be(true)
    end
  end
end
