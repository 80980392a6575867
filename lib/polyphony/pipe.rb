# frozen_string_literal: true

module Polyphony
  # A pipe as one object: what is written to it can be read from it.
  #
  # {#close} shuts the write end, so that the reader comes to the end of what was written; the
  # read end closes when that end was reached, or by {#close_read}. There is no `to_io`, as there
  # are two.
  class Pipe
    # Raised by writing after {#close}.
    class ClosedPipeError < IOError; end

    def initialize
      @reader, @writer = IO.pipe
      @reader.binmode
      @writer.binmode
    end

    # @return [IO] the end that transfers read from
    def splice_source = @reader

    # @return [IO] the end that transfers write to
    # @raise [ClosedPipeError]
    def splice_destination = writer

    # Reads up to a number of bytes, or all up to the end. See `IO#read`.
    # @return [String, nil] nil at the end
    def read(len = nil, buffer = nil)
      return nil if @reader.closed?

      result = @reader.read(len, buffer)
      return result if len && result

      close_read
      result unless result.nil? || result.empty?
    end

    # Reads what is there, waiting for it if need be. See `IO#readpartial`.
    # @return [String]
    # @raise [EOFError] at the end
    def readpartial(maxlen, *buffer)
      raise EOFError, "end of file reached" if @reader.closed?

      @reader.readpartial(maxlen, *buffer)
    rescue EOFError
      close_read
      raise
    end

    # Reads what is there, and never waits. See `IO#read_nonblock`.
    # @return [String, :wait_readable, nil] nil at the end, without exceptions
    # @raise [IO::EAGAINWaitReadable, EOFError]
    def read_nonblock(maxlen, buffer = nil, exception: true)
      raise EOFError, "end of file reached" if exception && @reader.closed?

      result = @reader.read_nonblock(maxlen, buffer, exception:) unless @reader.closed?
      close_read if result.nil?
      result
    rescue EOFError
      close_read
      raise
    end

    # @!method gets(*args)
    #   See `IO#gets`. @return [String, nil]
    # @!method getc
    #   See `IO#getc`. @return [String, nil]
    # @!method getbyte
    #   See `IO#getbyte`. @return [Integer, nil]
    %i[gets getc getbyte].each do |name|
      define_method(name) do |*args, **options|
        return nil if @reader.closed?

        result = waiting { @reader.public_send(name, *args, **options) }
        close_read if result.nil?
        result
      end
    end

    # Yields the lines up to the end. See `IO#each_line`.
    # @yieldparam line [String]
    # @return [self, Enumerator]
    def each_line(*args, **options)
      return enum_for(:each_line, *args, **options) unless block_given?

      while (line = gets(*args, **options))
        yield line
      end
      self
    end
    alias each each_line

    # Whether everything was read; waits until that is known.
    def eof?
      return true if @reader.closed?

      waiting { @reader.eof? }.tap { |ended| close_read if ended }
    end
    alias eof eof?

    # Yields what comes in, up to the end. See {Loops#read_loop}.
    # @yieldparam chunk [String]
    # @return [self]
    def read_loop(maxlen = 8192, &)
      @reader.read_loop(maxlen, &) unless @reader.closed?
      close_read
      self
    end

    # Passes what comes in to a parser or the like, up to the end. See {Loops#feed_loop}.
    # @return [self]
    def feed_loop(receiver, method = :call, &)
      @reader.feed_loop(receiver, method, &) unless @reader.closed?
      close_read
      self
    end

    # Waits until there is something to read, or its end.
    # @param timeout [Numeric, nil] seconds
    # @return [self, nil] nil past the timeout
    def wait_readable(timeout = nil)
      self if @reader.closed? || @reader.wait_readable(timeout)
    end

    # @!method write(*strings)
    #   See `IO#write`. @return [Integer]
    # @!method puts(*objects)
    #   See `IO#puts`. @return [nil]
    # @!method print(*objects)
    #   See `IO#print`. @return [nil]
    %i[write puts print].each do |name|
      define_method(name) { |*args| writer.public_send(name, *args) }
    end

    # @param object [Object] written as a String
    # @return [self]
    def <<(object)
      writer << object
      self
    end

    # Writes what there is room for, and never waits. See `IO#write_nonblock`.
    # @return [Integer, :wait_writable]
    # @raise [IO::EAGAINWaitWritable, ClosedPipeError]
    def write_nonblock(string, exception: true) = writer.write_nonblock(string, exception:)

    # Waits until there is room to write, or nobody to read it.
    # @param timeout [Numeric, nil] seconds
    # @return [self, nil] nil past the timeout
    # @raise [ClosedPipeError]
    def wait_writable(timeout = nil)
      self if writer.wait_writable(timeout)
    end

    # Moves data into the pipe. See `IO.splice`.
    # @return [Integer] bytes
    def splice_from(source, len = nil) = IO.splice(source, self, len)

    # Copies what another pipe holds into this one. See `IO.tee`.
    # @return [Integer] bytes
    def tee_from(source, len) = IO.tee(source, self, len)

    # @return [self]
    def flush
      writer.flush
      self
    end

    # Shuts the write end. A second time does nothing.
    # @return [nil]
    def close = @writer.close

    # Shuts the read end. A second time does nothing.
    # @return [nil]
    def close_read = @reader.close

    # @return [Boolean] whether the write end is shut
    def closed? = @writer.closed?

    # @return [Array(Integer, Integer)] the descriptors, read end first; nil for one that is closed
    def fds = [@reader, @writer].map { |io| io.fileno unless io.closed? }

    private

    # In the root fiber, core's own methods would hold up the writer.
    def waiting(&) = RootFiber.applies? ? RootFiber.run(&) : yield

    def writer
      raise ClosedPipeError, "pipe is closed for writing" if @writer.closed?

      @writer
    end
  end
end
