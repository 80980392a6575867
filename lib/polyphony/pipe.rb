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

    # @!method gets(*args)
    #   See `IO#gets`. @return [String, nil]
    # @!method getc
    #   See `IO#getc`. @return [String, nil]
    # @!method getbyte
    #   See `IO#getbyte`. @return [Integer, nil]
    %i[gets getc getbyte].each do |name|
      define_method(name) do |*args, **options|
        return nil if @reader.closed?

        result = @reader.public_send(name, *args, **options)
        close_read if result.nil?
        result
      end
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

    private

    def writer
      raise ClosedPipeError, "pipe is closed for writing" if @writer.closed?

      @writer
    end
  end
end
