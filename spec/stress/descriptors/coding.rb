# frozen_string_literal: true

require "zlib"

module DescriptorStress
  # How a stream looks on the wire, and what a part of it stands for.
  module Coding
    module_function

    # The payload of what has arrived, which may be cut anywhere, and whether it was all.
    def decode(coding, bytes)
      case coding
      when :chunked then chunked(bytes)
      when :gzip then inflated(bytes, 31)
      when :zlib then inflated(bytes, 15)
      else [bytes, true]
      end
    end

    # What a source has that is to be decompressed.
    def encode(coding, bytes)
      case coding
      when :gzip then Zlib.gzip(bytes, level: 1)
      when :zlib then Zlib.deflate(bytes, 1)
      else bytes
      end
    end

    def chunked(bytes)
      payload = +"".b
      at = 0
      while (head = bytes.match(/\G(\h+)\r\n/, at))
        size = head[1].hex
        return [payload, bytes[head.end(0)..] == "\r\n"] if size.zero?

        chunk = bytes.byteslice(head.end(0), size)
        payload << chunk
        at = head.end(0) + size
        break unless bytes.byteslice(at, 2) == "\r\n"

        at += 2
      end
      check_cut(bytes, at)
      [payload, false]
    end

    # What is left must be the beginning of a head or of an end.
    def check_cut(bytes, at)
      rest = bytes.byteslice(at..) || ""
      return if rest.match?(/\A\h*\r?\z/)

      raise "no chunk begins with #{rest[0, 60].inspect}"
    end

    def inflated(bytes, window)
      stream = Zlib::Inflate.new(window)
      payload = bytes.empty? ? "" : stream.inflate(bytes)
      [payload, stream.finished?]
    ensure
      stream&.close
    end
  end
end
