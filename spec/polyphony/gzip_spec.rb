# frozen_string_literal: true

require_relative "../support/compressor_examples"

RSpec.describe "IO.gzip" do
  expand = ->(data) { Zlib.gunzip(data) }

  it_behaves_like("a compressor elsewhere", :gzip, expand, 31)

  describe "in Polyphony", :polyphony do
    include SpecSupport::Compression

    it_behaves_like("a compressor", :gzip, expand, 31)

    def header(**info) = Zlib::GzipReader.new(StringIO.new(result_of(:gzip, "data", info)))

    it "is understood by gzip, pigz and python3" do
      program = "import sys, gzip; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))"
      [1, 4].each do |threads|
        compressed = result_of(:gzip, sample, threads:)
        [%w[gunzip], %w[pigz -d], ["python3", "-c", program]].each do |command|
          expect(by(*command, compressed) == sample).to be(true), command.first
        end
      end
    end

    it "writes a name and a comment" do
      read = header(orig_name: "naïve.txt", comment: "a remark")
      expect([read.orig_name.b, read.comment]).to eq(["naïve.txt".b, "a remark"])
    end

    it "takes what is in the header as keywords too" do
      read = Zlib::GzipReader.new(StringIO.new(result_of(:gzip, "data", orig_name: "x", mtime: 7, level: 9)))
      expect([read.orig_name, read.mtime.to_i, read.level]).to eq(["x", 7, 9])
    end

    it "writes the time that it is given, none, or the present" do
      expect(header(mtime: Time.at(1_234_567)).mtime.to_i).to eq(1_234_567)
      expect(header(mtime: 42).mtime.to_i).to eq(42)
      expect(header(mtime: false).mtime.to_i).to eq(0)
      before = Time.now.to_i
      expect(header.mtime.to_i).to be_between(before, Time.now.to_i)
      expect(header(mtime: nil).mtime.to_i).to be >= before
    end

    it "refuses a header that can't be" do
      { orig_name: 5, comment: :text, mtime: "now" }.each do |name, value|
        expect { header(name => value) }.to raise_error(TypeError)
      end
      { orig_name: "a\0b", comment: "x" * 100_000 }.each do |name, value|
        expect { header(name => value) }.to raise_error(ArgumentError)
      end
      [-1, 1 << 32, 1 << 80].each { |mtime| expect { header(mtime:) }.to raise_error(RangeError) }
      expect { IO.gzip("", String.new, 5) }.to raise_error(TypeError)
    end

    it "goes on in a program that is stopped and continued" do
      program = 'require "polyphony"; IO.gzip($stdin, $stdout)'
      library = File.expand_path("../../lib", __dir__)
      stdin, stdout, waiter = Open3.popen2(RbConfig.ruby, "-I", library, "-e", program)
      [stdin, stdout].each(&:binmode)
      data = random_bytes(500_000)
      feeding = Thread.new { stdin.write(data).then { stdin.close } }
      compressed = stdout.readpartial(1000)
      Process.kill(:STOP, waiter.pid)
      Process.kill(:CONT, waiter.pid)
      compressed << stdout.read
      feeding.join
      stdout.close
      expect(waiter.value).to be_success
      expect(Zlib.gunzip(compressed) == data).to be(true)
    end
  end
end
