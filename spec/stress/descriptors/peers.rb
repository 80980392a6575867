# frozen_string_literal: true

module DescriptorStress
  # What the other side of a connection does.
  module Peers
    GONE = [Errno::EPIPE, Errno::ECONNRESET, Errno::ENOTCONN, OpenSSL::SSL::SSLError, IOError].freeze

    # Sends a stream, in pieces; its end is told by closing, or by half of it where there is
    # something to receive still. Returns the error that has stopped it.
    class Feeder
      def initialize(io, bytes, plan, keep_open: false, greeted: false, reset: false)
        @io = io
        @bytes = bytes
        @random = plan.random
        @plan = plan
        @keep_open = keep_open
        @greeted = greeted
        @stop = reset ? @random.rand(bytes.bytesize + 1) : bytes.bytesize
        @reset = reset
        @at = 0
      end

      # As much as goes without a wait.
      def begin_now
        return if @stop.zero? || @greeted || @io.is_a?(OpenSSL::SSL::SSLSocket)

        written = @io.write_nonblock(@bytes.byteslice(0, [@stop, 3000].min), exception: false)
        @at = written if written.is_a?(Integer)
      end

      def run
        @io.read(GREETING.bytesize) if @greeted
        write_all
        Wires.reset_by(@io) if @reset
        end_stream
        nil
      rescue *GONE => e
        @io.close unless @keep_open
        e
      end

      private

      def write_all
        while @at < @stop
          piece = @bytes.byteslice(@at, [@stop - @at, 1 + @random.rand(20_000)].min)
          @io.write(piece)
          @at += piece.bytesize
          rest if @random.rand < 0.4
        end
      end

      def rest = @plan.slow ? sleep(@random.rand * 0.002) : snooze

      def end_stream
        return @io.close if @reset || !@keep_open

        @io.close_write if @io.is_a?(BasicSocket)
      end
    end

    GREETING = "whose turn?\n"

    # Receives to the end; as a resetter, only a part.
    class Sink
      attr_reader :bytes

      def initialize(io, plan, reset_after: nil)
        @io = io
        @random = plan.random
        @plan = plan
        @reset_after = reset_after
        @bytes = +"".b
      end

      def run
        while @reset_after.nil? || @bytes.bytesize < @reset_after
          @bytes << @io.readpartial(@plan.slow ? 1 + @random.rand(8000) : 65_536)
          sleep(@random.rand * 0.001) if @plan.slow
        end
        Wires.reset_by(@io)
        @io.close
      rescue EOFError
        nil
      rescue *GONE => e
        e
      end
    end

    # A file has what it has.
    class FileSink
      attr_reader :bytes

      def initialize(io)
        @io = io
        @bytes = "".b
      end

      # Once it is written.
      def run = nil

      def look = @bytes = @io.read
    end
  end
end
