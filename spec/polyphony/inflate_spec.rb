# frozen_string_literal: true

require_relative "../support/expander_examples"

RSpec.describe "IO.inflate" do
  compress = ->(data) { Zlib.deflate(data) }

  it_behaves_like("an expander elsewhere", :inflate, compress)

  describe "in Polyphony", :polyphony do
    include SpecSupport::Compression

    it_behaves_like("an expander", :inflate, compress, Zlib::BufError)

    it "understands IO.deflate and python3" do
      expect(result_of(:inflate, result_of(:deflate, sample)) == sample).to be(true)
      program = "import sys, zlib; sys.stdout.buffer.write(zlib.compress(sys.stdin.buffer.read()))"
      expect(result_of(:inflate, by("python3", "-c", program, sample)) == sample).to be(true)
    end

    it "raises for a wrong checksum" do
      stream = Zlib.deflate("data")
      stream.setbyte(-1, stream.getbyte(-1) ^ 1)
      expect { IO.inflate(stream, String.new) }.to raise_error(Zlib::DataError, /checksum/)
    end

    it "raises where a dictionary is needed" do
      deflate = Zlib::Deflate.new
      deflate.set_dictionary("dictionary")
      stream = deflate.deflate("dictionary", Zlib::FINISH)
      deflate.close
      expect { IO.inflate(stream, String.new) }.to raise_error(Zlib::NeedDict)
    end

    it "takes no more than two arguments" do
      expect { IO.inflate("", String.new, {}) }.to raise_error(ArgumentError)
    end
  end
end
