# frozen_string_literal: true

require_relative "../support/ecosystem"

RSpec.describe "msgpack", packages: %w[ruby-msgpack] do
  before(:context) { require "msgpack" }

  let(:messages) { Array.new(200) { |number| { "number" => number, "text" => "x" * number } } }

  # Writes all of it in pieces that end in the midst of a message, when the others do as well.
  def write_pieces(io, meeting)
    packed = messages.map(&:to_msgpack).join
    half = packed.bytesize / 2
    io.write(packed.byteslice(0, half))
    meeting.arrive
    packed.byteslice(half..).scan(/.{1,777}/mn) { |piece| io.write(piece) }
    io.close
  end

  # Ten connections, each with its writer and a reader, for which the block is called; what they read.
  def over_sockets
    meeting = SpecSupport::Meeting.new(10)
    pairs = Array.new(10) { UNIXSocket.pair }
    writing = pairs.map { |_, writer| -> { write_pieces(writer, meeting) } }
    reading = pairs.map { |reader, _| -> { [].tap { |read| yield reader, read } } }
    together(reading, writing).first(10)
  ensure
    pairs.flatten.each(&:close)
  end

  in_both_ways do
    it "unpacks what an unpacker reads from a socket" do
      read = over_sockets do |socket, all|
        MessagePack::Unpacker.new(socket).each { |message| all << message }
      end
      expect(read).to eq([messages] * 10)
    end

    it "unpacks what is fed to it" do
      read = over_sockets do |socket, all|
        unpacker = MessagePack::Unpacker.new
        while (chunk = socket.read_nonblock(100, exception: false))
          next socket.wait_readable if chunk == :wait_readable

          unpacker.feed_each(chunk) { |message| all << message }
        end
      end
      expect(read).to eq([messages] * 10)
    end

    it "unpacks what feed_loop feeds to it" do
      read = over_sockets do |socket, all|
        socket.feed_loop(MessagePack::Unpacker.new, :feed_each) { |message| all << message }
      end
      expect(read).to eq([messages] * 10)
    end
  end
end
