# frozen_string_literal: true

require_relative "../support/expander_examples"

RSpec.describe "IO.gunzip" do
  compress = ->(data) { Zlib.gzip(data) }

  it_behaves_like("an expander elsewhere", :gunzip, compress)

  describe "in Polyphony", :polyphony do
    include SpecSupport::Compression

    it_behaves_like("an expander", :gunzip, compress, Zlib::GzipFile::Error)

    # The header of this stream, as it is told.
    def told(stream)
      {}.tap { |info| IO.gunzip(stream, String.new, info) }
    end

    it "understands gzip, pigz, python3 and IO.gzip" do
      program = "import sys, gzip; sys.stdout.buffer.write(gzip.compress(sys.stdin.buffer.read()))"
      streams = [by("gzip", sample), by("pigz", "-p2", sample), by("python3", "-c", program, sample),
                 result_of(:gzip, sample), result_of(:gzip, sample, threads: 2)]
      expect(streams.map { |stream| result_of(:gunzip, stream) == sample }).to all(be(true))
    end

    it "tells what the header says" do
      info = { orig_name: "name.txt", mtime: Time.at(1_234_567), comment: "naïve" }
      expect(told(result_of(:gzip, "data", info))).to eq(info)
    end

    it "tells nil for what the header doesn't say, and 1970 where it has no time, as Zlib does" do
      expect(told(result_of(:gzip, "", mtime: false))).to eq(orig_name: nil, mtime: Time.at(0), comment: nil)
    end

    it "tells a name that is no UTF-8 as bytes" do
      name = told(result_of(:gzip, "", orig_name: "\xe9.txt".b))[:orig_name]
      expect([name, name.encoding]).to eq(["\xe9.txt".b, Encoding::BINARY])
    end

    it "tells of the first of several members, and of one that is damaged behind its header" do
      streams = %w[first second].map { |orig_name| result_of(:gzip, orig_name, orig_name:) }
      expect(told(streams.join)[:orig_name]).to eq("first")
      info = {}
      expect { IO.gunzip(streams.first.byteslice(0..-4), String.new, info) }
        .to raise_error(Zlib::GzipFile::NoFooter)
      expect(info[:orig_name]).to eq("first")
    end

    # A member whose header has a comment of so many bytes.
    def with_comment(size, data)
      [0x1f, 0x8b, 8, 16, 0, 0, 3].pack("CCCCVCC") + ("c" * size) + "\0".b + Zlib.gzip(data).byteslice(10..)
    end

    it "skips texts that nobody asks for, however long they are" do
      stream = with_comment(2_000_000, "one") + with_comment(2_000_000, "two")
      expect(result_of(:gunzip, stream)).to eq("onetwo")
      expect(result_of(:gunzip, source(:pipe, stream))).to eq("onetwo")
      expect(told(Zlib.gzip("") + stream)).to include(comment: nil)
    end

    it "tells texts of up to 1 MiB, and refuses to keep longer ones" do
      expect(told(with_comment(1 << 20, "data"))[:comment] == "c" * (1 << 20)).to be(true)
      expect { told(with_comment((1 << 20) + 1, "data")) }
        .to raise_error(Zlib::GzipFile::Error, /longer than 1048576 bytes/)
    end

    it "leaves other keys of the Hash alone, and knows a frozen one" do
      info = { other: 1 }
      IO.gunzip(Zlib.gzip("data"), String.new, info)
      expect(info).to include(:orig_name, other: 1)
      expect { IO.gunzip("", String.new, {}.freeze) }.to raise_error(FrozenError)
      expect { IO.gunzip("", String.new, 1) }.to raise_error(TypeError)
    end

    it "decompresses members that follow each other" do
      expect(result_of(:gunzip, %w[one two three].map { Zlib.gzip(_1) }.join)).to eq("onetwothree")
    end

    it "raises for a wrong checksum and a wrong length" do
      crc = Zlib.gzip("data").tap { |stream| stream.setbyte(-8, stream.getbyte(-8) ^ 1) }
      expect { IO.gunzip(crc, String.new) }.to raise_error(Zlib::GzipFile::CRCError)
      length = Zlib.gzip("data").tap { |stream| stream.setbyte(-4, stream.getbyte(-4) ^ 1) }
      expect { IO.gunzip(length, String.new) }.to raise_error(Zlib::GzipFile::LengthError)
    end

    it "says how much was good in its message too" do
      expect { IO.gunzip("#{Zlib.gzip("one")}#{Zlib.gzip("two")[0..-2]}", String.new) }
        .to raise_error(/after 6 bytes, 3 of them verified/)
    end

    it "loads zlib only when it is needed" do
      program = 'require "polyphony"; IO.gzip("x", s = +""); IO.gunzip(s, +""); p defined?(Zlib); ' \
                'begin IO.gunzip("no", +""); rescue => e; p e.class; end'
      library = File.expand_path("../../lib", __dir__)
      output, = Open3.capture2(RbConfig.ruby, "--disable-gems", "-I", library, "-e", program)
      expect(output).to eq("nil\nZlib::GzipFile::Error\n")
    end
  end
end
