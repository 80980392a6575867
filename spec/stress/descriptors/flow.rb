# frozen_string_literal: true

module DescriptorStress
  # One direction of a connection: what is sent, and what has become of it.
  class Flow
    # The stream, and the part of it that comes through the source.
    attr_reader :stream, :sent
    # What was left in the source for core to read, if that was looked at.
    attr_accessor :rest
    # Who receives; nil where the transfer itself does.
    attr_accessor :sink

    # `held`: so many bytes are written to the destination by Ruby, and not sent yet.
    def initialize(stream, held: 0)
      @stream = stream
      @held = held
      @sent = stream.byteslice(held..)
      @rest = nil
    end

    def before = @stream.byteslice(0, @held)

    # What has arrived, and whether it was all of it.
    def arrived(coding)
      return ["".b, true] unless @sink

      @sink.look if @sink.is_a?(Peers::FileSink)
      Coding.decode(coding, @sink.bytes)
    end
  end
end
