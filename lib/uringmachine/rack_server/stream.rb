# frozen_string_literal: true

class UringMachine
  class RackServer
    # What a streaming body reads and writes, in any fiber of the server's thread, and for as long
    # as it likes: it is the application that closes it.
    # @private
    class Stream
      def initialize(connection, input)
        @io = connection.io
        @connection = connection
        @input = input
        @readable = @writable = true
        @closed = Queue.new
      end

      def read(...) = check_readable.read(...)
      def readpartial(...) = check_readable.readpartial(...)
      def gets = check_readable.gets

      # @return [Integer] the number of bytes
      def write(*strings)
        raise ::IOError, "not opened for writing" unless @writable

        strings.sum { |string| put(string.to_s) }
      end

      def <<(string)
        write(string)
        self
      end

      # Nothing is kept back.
      def flush = self

      def close_read
        @readable = false
        announce
      end

      def close_write
        return unless @writable

        @writable = false
        finish
      ensure
        announce
      end

      def close
        close_read
        close_write
      end

      def closed? = !@readable && !@writable

      # Waits until it is closed.
      def wait
        @connection.machine.shift(@closed) unless closed?
      end

      private

      def check_readable = @readable ? @input : raise(::IOError, "not opened for reading")

      # Who waits is told; the client may be gone.
      def announce
        @connection.machine.push(@closed, true) if closed?
        nil
      end
    end

    # The body of a response.
    # @private
    class BodyStream < Stream
      private

      def put(string)
        @io.http_write_chunk(string)
        string.bytesize
      end

      def finish = @io.http_finish
    end

    # A connection that was upgraded to another protocol, both ways.
    # @private
    class RawStream < Stream
      def initialize(connection)
        super(connection, RawInput.new(connection))
      end

      private

      def put(string) = @io.write(string)

      def finish = @connection.machine.shutdown(@connection.fd, SHUT_WR)
    end
  end
end
