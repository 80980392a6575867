# frozen_string_literal: true

require_relative "../support/compressor_examples"

RSpec.describe "IO.deflate" do
  expand = ->(data) { Zlib.inflate(data) }

  it_behaves_like("a compressor elsewhere", :deflate, expand, 15)

  describe "in Polyphony", :polyphony do
    include SpecSupport::Compression

    it_behaves_like("a compressor", :deflate, expand, 15)

    it "takes no more than two arguments" do
      expect { IO.deflate("", String.new, {}) }.to raise_error(ArgumentError)
      expect { IO.deflate("", String.new, mtime: 0) }.to raise_error(ArgumentError)
    end

    it "is understood by python3" do
      program = "import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))"
      expect(by("python3", "-c", program, result_of(:deflate, sample)) == sample).to be(true)
    end
  end
end
