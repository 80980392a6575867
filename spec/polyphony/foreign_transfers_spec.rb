# frozen_string_literal: true

require "tempfile"
require_relative "../support/foreign_scheduler"
require_relative "../support/polyphony"

# Under a scheduler that is none of ours they borrow a machine; in a plain thread they make the
# thread's.
RSpec.describe "Polyphony's transfers" do
  include SpecSupport::WriteLate

  let(:ends) { IO.pipe(binmode: true) }
  let(:reader) { ends.first }
  let(:writer) { ends.last }

  SpecSupport::SIDE_BY_SIDE.each do |name, run|
    context name do
      define_method(:together) { |*blocks| run.call(*blocks) }

      let(:data) { Random.bytes(300_000) }

      # Two connections, with the one who moves between them.
      def chain
        connections = Array.new(2) { UNIXSocket.pair }
        [*connections.first, *connections.last.reverse]
      end

      def with_file(content)
        Tempfile.create(binmode: true) do |file|
          file.write(content)
          file.flush
          file.rewind
          yield file
        end
      end

      # What arrives at an IO up to EOF, read while the others go on.
      def reading(io, into, &first)
        lambda do
          first&.call
          into << io.read
        end
      end

      it "IO.splice moves from a pipe to a socket" do
        near, far = UNIXSocket.pair
        splicing = -> { IO.splice(reader, near).tap { near.close } }
        expect(together(splicing, write_late(writer, "abc", "defgh"))).to eq(8)
        expect(far.read).to eq("abcdefgh")
        far.close
      end

      it "IO.splice moves once" do
        near, far = UNIXSocket.pair
        expect(together(-> { IO.splice(reader, near, 4) }, write_late(writer, "abcdefgh"))).to eq(4)
        expect([reader.read, far.readpartial(10)]).to eq(%w[efgh abcd])
        [near, far].each(&:close)
      end

      it "IO.double_splice waits for both ends, and passes the EOF on" do
        client, near, destination, far = chain
        received = []
        sending = lambda do
          sleep 0.002
          Thread.new { received << far.read }.tap do |thread|
            client.write(data)
            client.close_write
            thread.join
          end
        end
        expect(together(-> { IO.double_splice(near, destination) }, sending)).to eq(data.bytesize)
        expect(received == [data]).to be(true)
        [client, near, destination, far].each(&:close)
      end

      it "IO.double_splice moves a file to a socket that takes it late" do
        near, far = UNIXSocket.pair
        received = []
        with_file(data) do |file|
          sending = -> { IO.double_splice(file, near).tap { near.close_write } }
          expect(together(sending, reading(far, received) { sleep 0.002 })).to eq(data.bytesize)
        end
        expect(received == [data]).to be(true)
        [near, far].each(&:close)
      end

      it "IO.double_splice copies between files" do
        with_file(data) do |from|
          with_file("") do |to|
            wake = write_late(writer, ".")
            together(-> { reader.wait_readable && IO.double_splice(from, to) }, wake)
            expect(File.binread(to.path) == data).to be(true)
          end
        end
      end

      it "Polyphony.proxy moves both ways" do
        client, near, destination, far = chain
        talking = lambda do
          sleep 0.002
          client.write("ping")
          client.close_write
          question = far.read
          far.write("#{question} pong")
          far.close_write
          raise "no answer" unless client.read == "ping pong"
        end
        expect(together(-> { Polyphony.proxy(near, destination) }, talking)).to eq([4, 9])
        [client, near, destination, far].each(&:close)
      end

      it "IO.tee copies what comes" do
        copy_reader, copy_writer = IO.pipe
        expect(together(-> { IO.tee(reader, copy_writer, 3) }, write_late(writer, "abcd"))).to eq(3)
        copy_writer.close
        expect([copy_reader.read, reader.read]).to eq(%w[abc abcd])
        copy_reader.close
      end

      it "IO.http1_splice_chunked sends chunks" do
        near, far = UNIXSocket.pair
        chunking = -> { IO.http1_splice_chunked(reader, near, 10).tap { near.close_write } }
        expect(together(chunking, write_late(writer, "abc", "defgh"))).to eq(8)
        expect(far.read).to eq("3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n")
        [near, far].each(&:close)
      end

      it "is left by its block, and tells what was moved" do
        near, far = UNIXSocket.pair
        told = []
        splicing = -> { IO.splice(reader, near) { |moved| (told << moved) && break } }
        expect(together(splicing, write_late(writer, "abc"))).to be_nil
        expect([told, far.readpartial(10)]).to eq([[3], "abc"])
        [near, far].each(&:close)
      end

      it "raises the kernel's errors with what was moved" do
        near, far = UNIXSocket.pair
        far.close
        moving = -> { IO.splice(reader, near) }
        expect { together(moving, write_late(writer, "abc")) }
          .to raise_error(Errno::EPIPE) { |error| expect(error.bytes_moved).to eq(0) }
        near.close
      end
    end
  end

  it "raises in a transfer what its fiber is given, and loses nothing" do
    reader, writer = IO.pipe
    near, far = UNIXSocket.pair
    outcome = SpecSupport::ForeignScheduler.run do
      moving = Fiber.schedule do
        IO.double_splice(reader, near)
      rescue ArgumentError
        nil
      end
      moving.raise(ArgumentError, "stop")
      writer.write("abc")
      reader.readpartial(10)
    end
    expect(outcome).to eq("abc")
    [reader, writer, near, far].each(&:close)
  end

  it "lets the other fibers run while a transfer never has to wait" do
    turns = 0
    moved = SpecSupport::ForeignScheduler.run do
      done = false
      Fiber.schedule { (turns += 1) && sleep(0) until done }
      File.open("/dev/zero") do |zero|
        File.open(File::NULL, "w") do |null|
          IO.double_splice(zero, null, 200 * 65_536).tap { done = true }
        end
      end
    end
    expect([moved, turns > 1]).to eq([200 * 65_536, true])
  end

  it "serves several transfers of a thread at once", :gc do
    pairs = Array.new(3) { [IO.pipe, UNIXSocket.pair] }
    moved = []
    SpecSupport::ForeignScheduler.run do
      pairs.each do |(reader, _), (near, _)|
        Fiber.schedule { moved << IO.splice(reader, near) }
      end
      pairs.each.with_index(1) do |((_, writer), _), number|
        writer.write("x" * number)
        writer.close
      end
    end
    expect(moved.sort).to eq([1, 2, 3])
    pairs.flatten.each(&:close)
  end
end
