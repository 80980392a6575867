# frozen_string_literal: true

require "zlib"

module DescriptorStress
  # Streams of which each record says whose it is, which one, and whether it is whole. They hold for
  # whoever receives them: a foreign, lost, doubled or moved byte shows.
  module Records
    FILLER = [Random.new(1).bytes(6000)].pack("m0").freeze
    RECORD = /^(c\d+[ab]) r(\d+) [^\n]* (\h{8})$/

    module_function

    # The stream of one direction (a or b) of a connection, about so many bytes of it.
    def stream(id, way, size)
      bytes = +"".b
      count = 0
      while bytes.bytesize < size
        bytes << record("c#{id}#{way}", id, count)
        count += 1
      end
      bytes
    end

    def record(name, id, count)
      filler = FILLER[((id * 7) + (count * 13)) % 6000, 20 + (((id * 31) + (count * 17)) % 900)]
      body = "#{name} r#{count} #{filler}"
      format("%<body>s %<sum>08x\n", body:, sum: Zlib.crc32(body))
    end

    # What is wrong with bytes that should be those; nil if nothing is.
    def difference(expected, got)
      return nil if expected == got

      at = common(expected, got)
      "of #{expected.bytesize} bytes #{got.bytesize} came; from #{at} on they are #{got[at, 60].inspect} " \
        "instead of #{expected[at, 60].inspect}; records there: #{names(got[[at - 1000, 0].max, 5000])}"
    end

    def common(one, other)
      least = [one.bytesize, other.bytesize].min
      (0..least).bsearch do |size|
        size == least || one.byteslice(0, size + 1) != other.byteslice(0, size + 1)
      end
    end

    # Of whom there are whole records, and which ones.
    def names(bytes)
      bytes.scan(RECORD).map { |name, count, _| "#{name} r#{count}" }.first(12).join(", ")
    end
  end
end
