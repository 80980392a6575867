# frozen_string_literal: true

require "open3"
require "stringio"
require "zlib"

module SpecSupport
  # Ends of compressed streams, and other programs that know the formats.
  module Compression
    # Gives its bytes a few at a time, by one method.
    class Giver
      def self.new(name, data)
        source = StringIO.new(data)
        few = ->(max) { source.public_send(name, [max, 777].min) }
        Object.new.tap { |giver| giver.define_singleton_method(name, &few) }
      end
    end

    # Data that shrinks, but not to nothing.
    def sample(bytes = 300_000)
      random = Random.new(bytes)
      words = Array.new(500) { random.bytes(random.rand(2..9)).unpack1("H*") }
      text = +""
      text << words[random.rand(500)] << " " while text.bytesize < bytes
      text.byteslice(0, bytes).b
    end

    def by(*command, input)
      output, errors, status = Open3.capture3(*command, stdin_data: input, binmode: true)
      raise "#{command.first}: #{errors}" unless status.success?

      output
    end

    # Each kind of source around the data, by name.
    def source(kind, data)
      case kind
      when :string then data
      when :file then temporary_file(data)
      when :descriptor then (@kept = temporary_file(data)).fileno
      when :pipe then fed(*IO.pipe, data)
      when :socket then fed(*UNIXSocket.pair, data)
      when :tcp then fed(*tcp_pair, data)
      when :polyphony_pipe then Polyphony.pipe.tap { |pipe| feed(pipe, data) }
      when :stringio then StringIO.new(data)
      when :callable then caller_of(data)
      else Giver.new(kind, data)
      end
    end

    SOURCES = %i[
      string file descriptor pipe socket tcp polyphony_pipe stringio read readpartial callable
    ].freeze

    # Gives the data piece by piece, an empty one before each, and nil at the end.
    def caller_of(data)
      pieces = data.scan(/.{1,777}/mn).flat_map { |piece| ["", piece] }
      -> { pieces.shift }
    end

    def fed(reader, writer, data)
      feed(writer, data)
      reader
    end

    def feed(io, data)
      spin do
        io.write(data)
        io.close
      end
    end

    # Calls the block with a destination of a kind: its value, and all that came there.
    def with_destination(kind, &)
      case kind
      when :string then String.new.then { |string| [yield(string), string] }
      when :file then written(&)
      when :descriptor then written { |file| yield(file.fileno) }
      when :pipe then drained(*IO.pipe(binmode: true), &)
      when :socket then drained(*UNIXSocket.pair, &)
      when :polyphony_pipe then Polyphony.pipe.then { |pipe| drained(pipe, pipe, &) }
      when :stringio then StringIO.new("".b).then { |io| [yield(io), io.string] }
      when :array then collected(&)
      when :callable then collected { |array| yield(array.method(:<<)) }
      end
    end

    DESTINATIONS = %i[string file descriptor pipe socket polyphony_pipe stringio array callable].freeze

    # Modes and options of files that convert what is written to them.
    TEXT_MODES = [["w", { crlf_newline: true }], ["w:UTF-16LE", {}], ["w:ISO-8859-1", {}]].freeze

    # What the block writes to a file of such a mode as bytes, between two lines of text.
    def between_lines(mode, options)
      path = temporary_file.path
      File.open(path, mode, **options) do |file|
        file.puts("é")
        yield file
        file.puts("é")
      end
      line = line_as_text(mode, options)
      written = File.binread(path)
      raise "the lines are not as they were" unless written.start_with?(line) && written.end_with?(line)

      written.byteslice(line.bytesize..-line.bytesize - 1)
    end

    def line_as_text(mode, options)
      path = temporary_file.path
      File.open(path, mode, **options) { |file| file.puts("é") }
      File.binread(path)
    end

    def collected
      array = []
      [yield(array), array.join.b]
    end

    def written
      file = temporary_file
      [yield(file), File.binread(file.path)]
    end

    def drained(reader, writer)
      reading = spin { reader.read }
      value = yield(writer)
      writer.close
      [value, reading.await]
    end

    # The data that a method of IO makes of this.
    def result_of(method, source, *info, **options)
      String.new.tap { |result| IO.public_send(method, source, result, *info, **options) }
    end

    # Calls the block until its value is the one that is waited for.
    def eventually(value)
      got = yield until got == value
      got
    end
  end
end
