# frozen_string_literal: true

class UringMachine
  class RackServer
    # Reads like an IO from what comes in parts of any size. Nothing is read before it is asked for.
    # Subclasses have `part`: the next one, nil at the end.
    # @private
    class Input
      NOTHING = "".b.freeze

      def initialize(connection)
        @connection = connection
        @ahead = NOTHING # what came, and was not asked for yet
        @ended = false
      end

      # As `IO#read`: all that comes, or `length` bytes and fewer at the end only.
      # @return [String, nil] nil for a length at the end
      def read(length = nil, buffer = nil)
        raise ArgumentError, "negative length #{length} given" if length&.negative?

        bytes = length ? bytes(length) { @ahead.bytesize >= length } : take(fill { false })
        return bytes unless buffer

        buffer.replace(bytes || "")
        bytes && buffer
      end

      # As `IO#readpartial`: what there is, up to `length` bytes.
      # @raise [EOFError] at the end
      def readpartial(length, buffer = nil)
        bytes = bytes(length) { !@ahead.empty? } or raise EOFError, "end of file reached"
        buffer ? buffer.replace(bytes) : bytes
      end

      # @return [String, nil] a line with its end, nil at the end
      def gets
        searched = 0
        line = nil
        fill do
          line = @ahead.index("\n", searched)
          searched = @ahead.bytesize
          line
        end
        bytes(line ? line + 1 : searched) { true } unless @ahead.empty?
      end

      # @yieldparam line [String]
      def each
        while (line = gets)
          yield line
        end
        self
      end

      # Nothing more is wanted.
      def close
        @ended = true
        @ahead = NOTHING
        nil
      end

      private

      def bytes(length, &)
        return +"" if length.zero?

        fill(&)
        take(length) unless @ahead.empty?
      end

      # Waits for parts until the block finds enough of them, or the end is there.
      # @return [Integer] how much there is
      def fill
        until @ended || yield
          part = self.part
          part ? keep(part) : @ended = true
        end
        @ahead.bytesize
      end

      def keep(part)
        @ahead.empty? ? @ahead = part : @ahead << part
      end

      # A whole part is handed on as it is.
      def take(length)
        return @ahead.slice!(0, length) if length < @ahead.bytesize

        all = @ahead
        @ahead = NOTHING
        all.frozen? ? +"" : all
      end
    end

    # The body of a request.
    # @private
    class BodyInput < Input
      private

      def part = @connection.body_part
    end

    # What comes on a connection that was upgraded to another protocol.
    # @private
    class RawInput < Input
      CHUNK = 16 * 1024

      private

      def part = @connection.io.read(-CHUNK)
    end
  end
end
