# frozen_string_literal: true

require "stringio"
require "zlib"
require_relative "../support/polyphony"

RSpec.describe "Polyphony::Pipe", :polyphony do
  let(:pipe) { Polyphony.pipe }

  it "is what Polyphony.pipe makes" do
    expect(pipe).to be_a(Polyphony::Pipe)
  end

  it "holds what is written to it for its reader" do
    expect(pipe.write("abc", "def")).to eq(6)
    pipe.close
    expect(pipe.read).to eq("abcdef")
  end

  it "is binary" do
    pipe.write("\xff\r\n")
    pipe.close
    expect(pipe.read).to eq("\xff\r\n".b)
  end

  describe "reading" do
    before do
      pipe.write("line 1\nline 2\nrest")
      pipe.close
    end

    it("reads so many bytes") { expect(pipe.read(4)).to eq("line") }
    it("reads what is there") { expect(pipe.readpartial(100)).to eq("line 1\nline 2\nrest") }
    it("reads a line") { expect([pipe.gets, pipe.gets]).to eq(["line 1\n", "line 2\n"]) }
    it("reads a line without its end") { expect(pipe.gets(chomp: true)).to eq("line 1") }
    it("reads a character") { expect(pipe.getc).to eq("l") }
    it("reads a byte") { expect(pipe.getbyte).to eq("l".ord) }

    it "reads into a buffer" do
      buffer = +""
      pipe.read(4, buffer)
      expect(buffer).to eq("line")
    end

    it "gives the lines, and nil after them" do
      expect(Array.new(4) { pipe.gets }).to eq(["line 1\n", "line 2\n", "rest", nil])
    end
  end

  describe "writing" do
    it "appends with <<, and returns itself" do
      expect(pipe << "a" << 1).to be(pipe)
      pipe.close
      expect(pipe.read).to eq("a1")
    end

    it "writes lines" do
      expect(pipe.puts("a", %w[b c])).to be_nil
      pipe.close
      expect(pipe.read).to eq("a\nb\nc\n")
    end

    it "prints" do
      pipe.print("a", "b")
      pipe.close
      expect(pipe.read).to eq("ab")
    end

    it "flushes, and returns itself" do
      expect(pipe.flush).to be(pipe)
    end

    it "waits while the pipe is full" do
      writer = spin { pipe.write("x" * 200_000).tap { pipe.close } }
      snooze
      expect(writer).not_to be_done
      expect(spin { pipe.read }.await.bytesize).to eq(200_000)
      expect(writer.await).to eq(200_000)
    end
  end

  describe "#close" do
    it "shuts the write end only" do
      pipe << "abc"
      expect(pipe).not_to be_closed
      pipe.close
      expect(pipe).to be_closed
      expect(pipe.read).to eq("abc")
    end

    it "returns nil, also a second time" do
      expect([pipe.close, pipe.close]).to eq([nil, nil])
    end

    it "wakes a reader that waits" do
      reader = spin { pipe.read }
      snooze
      pipe.close
      expect(reader.await).to be_nil
    end

    %i[write print puts <<].each do |name|
      it "makes #{name} raise" do
        pipe.close
        expect { pipe.public_send(name, "x") }.to raise_error(Polyphony::Pipe::ClosedPipeError)
      end
    end

    it "makes flush raise" do
      pipe.close
      expect { pipe.flush }.to raise_error(Polyphony::Pipe::ClosedPipeError)
    end

    it "raises an IOError" do
      expect(Polyphony::Pipe::ClosedPipeError.ancestors).to include(IOError)
    end
  end

  describe "the read end" do
    def closed_by
      pipe << "x"
      pipe.close
      before = open_descriptors
      yield
      before - open_descriptors
    end

    it "closes when gets has come to EOF" do
      expect(closed_by { 2.times { pipe.gets } }).to eq(1)
    end

    it "closes when read(len) has come to EOF" do
      expect(closed_by { 2.times { pipe.read(10) } }).to eq(1)
    end

    it "closes when getbyte or getc have come to EOF" do
      expect(closed_by { [pipe.getbyte, pipe.getc] }).to eq(1)
    end

    it "closes when read has read everything" do
      expect(closed_by { pipe.read }).to eq(1)
    end

    it "closes when readpartial has come to EOF" do
      expect(closed_by { pipe.readpartial(10) }).to eq(0)
      before = open_descriptors
      2.times { expect { pipe.readpartial(10) }.to raise_error(EOFError) }
      expect(open_descriptors).to eq(before - 1)
    end

    it "closes by close_read, a second time as well" do
      expect(closed_by { 2.times { expect(pipe.close_read).to be_nil } }).to eq(1)
    end

    it "gives nil once it is closed" do
      pipe.close_read
      expect([pipe.gets, pipe.getc, pipe.getbyte, pipe.read(1)]).to all(be_nil)
    end

    it "makes writers get EPIPE once it is closed" do
      pipe.close_read
      expect { pipe.write("x") }.to raise_error(Errno::EPIPE)
    end
  end

  describe "reading lines" do
    before do
      pipe.write("a\nb\nc")
      pipe.close
    end

    it("yields each") { expect(pipe.each_line.to_a).to eq(%W[a\n b\n c]) }
    it("yields each without its end") { expect(pipe.each_line(chomp: true).to_a).to eq(%w[a b c]) }
    it("returns the pipe") { expect(pipe.each_line { |line| line }).to be(pipe) }
    it("is Enumerable's each as well") { expect(pipe.each.first).to eq("a\n") }
  end

  describe "#eof?" do
    it "waits until it knows" do
      asking = spin { pipe.eof? }
      snooze
      pipe << "x"
      expect(asking.await).to be(false)
      pipe.close
      pipe.getc
      expect([pipe.eof?, pipe.eof]).to eq([true, true])
    end
  end

  describe "never waiting" do
    it "reads what is there, or says that it would wait" do
      expect { pipe.read_nonblock(10) }.to raise_error(IO::EAGAINWaitReadable)
      expect(pipe.read_nonblock(10, exception: false)).to eq(:wait_readable)
      pipe << "abc"
      expect(pipe.read_nonblock(10)).to eq("abc")
    end

    it "reads into a buffer" do
      pipe << "abc"
      pipe.read_nonblock(10, buffer = +"")
      expect(buffer).to eq("abc")
    end

    it "comes to the end, and closes the read end there" do
      pipe.close
      expect(pipe.read_nonblock(10, exception: false)).to be_nil
      expect(pipe.fds).to eq([nil, nil])
      expect { pipe.read_nonblock(10) }.to raise_error(EOFError)
      expect(pipe.read_nonblock(10, exception: false)).to be_nil
    end

    it "raises at the end, and closes the read end there" do
      pipe.close
      2.times { expect { pipe.read_nonblock(10) }.to raise_error(EOFError) }
      expect(pipe.fds).to eq([nil, nil])
    end

    it "writes what there is room for" do
      written = pipe.write_nonblock("x" * 1_000_000)
      expect(written).to be_between(1, 999_999)
      expect(pipe.write_nonblock("x" * 100_000, exception: false)).to eq(:wait_writable)
      expect { pipe.write_nonblock("x" * 100_000) }.to raise_error(IO::EAGAINWaitWritable)
      pipe.close
      expect(pipe.read.bytesize).to eq(written)
      expect { pipe.write_nonblock("x") }.to raise_error(Polyphony::Pipe::ClosedPipeError)
    end
  end

  describe "waiting" do
    it "waits until there is something to read" do
      expect(pipe.wait_readable(0.01)).to be_nil
      waiting = spin { pipe.wait_readable }
      snooze
      pipe << "x"
      expect(waiting.await).to be(pipe)
    end

    it "has nothing to wait for at the end" do
      pipe.close
      pipe.read
      expect(pipe.wait_readable).to be(pipe)
    end

    it "waits until there is room" do
      expect(pipe.wait_writable).to be(pipe)
      pipe.write_nonblock("x" * 1_000_000)
      expect(pipe.wait_writable(0.01)).to be_nil
      waiting = spin { pipe.wait_writable }
      snooze
      pipe.readpartial(1_000_000)
      expect(waiting.await).to be(pipe)
      pipe.close
      expect { pipe.wait_writable }.to raise_error(Polyphony::Pipe::ClosedPipeError)
    end
  end

  describe "#fds" do
    it "has the read end's and the write end's" do
      reader, writer = pipe.fds
      IO.for_fd(writer, autoclose: false).syswrite("abc")
      expect(IO.for_fd(reader, autoclose: false).sysread(10)).to eq("abc")
    end

    it "has nil for an end that is closed" do
      reader, = pipe.fds
      pipe.close
      expect(pipe.fds).to eq([reader, nil])
    end
  end

  describe "loops" do
    before do
      pipe.write("line\nabc")
      pipe.close
      pipe.gets
    end

    it "reads to the end, and closes the read end there" do
      chunks = []
      expect(pipe.read_loop(2) { |chunk| chunks << chunk }).to be(pipe)
      expect(chunks).to eq(%w[ab c])
      expect(pipe.fds).to eq([nil, nil])
      expect(pipe.read_loop { raise "never" }).to be(pipe)
    end

    it "is left by break" do
      expect(pipe.read_loop(2) { |chunk| break chunk }).to eq("ab")
      expect(pipe.read).to eq("c")
    end

    it "feeds a receiver" do
      output = StringIO.new
      expect(pipe.feed_loop(output, :write)).to be(pipe)
      expect(output.string).to eq("abc")
      expect(pipe.feed_loop(->(_) { raise "never" })).to be(pipe)
    end
  end

  it "takes data from another IO" do
    expect(pipe.splice_from(temporary_file("abcdef"), 4)).to eq(4)
    expect(pipe.splice_from(temporary_file("ghi"))).to eq(3)
    pipe.close
    expect(pipe.read).to eq("abcdghi")
  end

  describe "with Zlib" do
    let(:text) { "some text, " * 100_000 }

    it "takes what a GzipWriter writes, which closes it" do
      writing = spin do
        gz = Zlib::GzipWriter.new(pipe)
        gz << text
        gz.close
      end
      expect(Zlib.gunzip(spin { pipe.read }.await) == text).to be(true)
      writing.await
      expect(pipe).to be_closed
    end

    it "gives a GzipReader what it reads, which closes it" do
      spin do
        pipe << Zlib.gzip(text)
        pipe.close
      end
      read = spin do
        gz = Zlib::GzipReader.new(pipe)
        gz.read.tap { gz.close }
      end
      expect(read.await == text).to be(true)
      expect(pipe).to be_closed
    end

    it "leaves behind a member of a gzip file what follows it" do
      pipe << Zlib.gzip("one") << Zlib.gzip("two")
      pipe.close
      reader = Zlib::GzipReader.new(pipe)
      expect(reader.read).to eq("one")
      expect(Zlib::GzipReader.new(StringIO.new(reader.unused)).read).to eq("two")
    end
  end

  it "lets the writer run while the root fiber reads" do
    outcome = ruby_program(<<~'RUBY')
      require "polyphony"
      pipe = Polyphony.pipe
      spin do
        pipe.puts("line")
        pipe << "xy" << "abc" << "def"
        pipe.close
      end
      p pipe.gets, pipe.getc, pipe.getbyte, pipe.readpartial(3), pipe.eof?
      pipe.read_loop { |chunk| p chunk }
      p pipe.each_line.to_a, pipe.eof?
    RUBY
    printed = ['"line\\n"', '"x"', "121", '"abc"', "false", '"def"', "[]", "true"]
    expect(outcome.stdout.lines(chomp: true)).to eq(printed), outcome.to_s
  end

  it "is copied from and to by IO.copy_stream" do
    pipe << "abc"
    pipe.close
    copy = Polyphony.pipe
    expect(IO.copy_stream(pipe, copy)).to eq(3)
    copy.close
    expect(copy.read).to eq("abc")
  end

  it "is no IO, as there are two" do
    expect(pipe).not_to respond_to(:to_io)
    expect { IO.try_convert(pipe).fileno }.to raise_error(NoMethodError)
  end

  it "lets a writer and a reader take turns" do
    lines = spin { Array.new(3) { pipe.gets } }
    spin do
      3.times do |number|
        pipe.puts(number)
        snooze
      end
    end
    expect(lines.await).to eq(%W[0\n 1\n 2\n])
  end

  it "closes both ends when it is collected" do
    before = open_descriptors
    50.times { Polyphony.pipe }
    SpecSupport::LeakCheck.collect_garbage
    expect(open_descriptors).to be < before + 100
  end
end
