# frozen_string_literal: true

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
