# frozen_string_literal: true

require "tempfile"
require_relative "../support/foreign_scheduler"
require_relative "../support/polyphony"

# In fibers of a scheduler that is none of ours, and in threads that have neither a scheduler nor a
# machine.
RSpec.describe "Polyphony's methods" do
  # Runs two blocks side by side in a thread of their own: one that waits, and one that it waits
  # for. The value of the first.
  side_by_side = {
    "under another scheduler" => lambda do |waiting, other|
      SpecSupport::ForeignScheduler.run do |scheduler|
        Fiber.schedule { other.call }
        value = waiting.call
        raise "the scheduler was not asked" unless scheduler.waits.positive?

        value
      end
    end,
    "in plain threads" => lambda do |waiting, other|
      threads = [waiting, other].map { |block| Thread.new(&block) }
      threads.each { |thread| thread.report_on_exception = false }
      threads.map(&:value).first
    end
  }

  let(:ends) { IO.pipe(binmode: true) }
  let(:reader) { ends.first }
  let(:writer) { ends.last }

  def collect(io, name = :read_loop, *maxlen)
    [].tap { |chunks| io.public_send(name, *maxlen) { |chunk| chunks << chunk } }
  end

  # Fibers that only wait for each other's data need a moment in which it isn't there.
  def write_late(io, *strings)
    lambda do
      strings.each do |string|
        sleep 0.002
        io.write(string)
      end
      io.close
    end
  end

  side_by_side.each do |name, run|
    context name do
      # Its machine, should the thread have got one.
      define_method(:together) do |waiting, other|
        without_machine = lambda do
          value = waiting.call
          raise "there is a machine" if Thread.current.instance_variable_get(:@__um_machine)

          value
        end
        run.call(without_machine, other)
      end

      it "read_loop yields what comes in, up to EOF, and returns the IO" do
        chunks = []
        reading = -> { reader.read_loop(4) { |chunk| chunks << chunk } }
        expect(together(reading, write_late(writer, "abc", "defgh"))).to be(reader)
        expect(chunks.join).to eq("abcdefgh")
        expect(chunks.map(&:encoding)).to all(be(Encoding::BINARY))
      end

      it "read_loop is left by break, and yields first what Ruby has read ahead" do
        reading = lambda do
          reader.gets
          [reader.read_loop(2) { |chunk| break chunk }, reader.readpartial(10)]
        end
        expect(together(reading, write_late(writer, "line\nahead"))).to eq(%w[ah ead])
      end

      it "read_loop honours IO#timeout" do
        reader.timeout = 0.01
        expect { together(-> { collect(reader) }, -> {}) }.to raise_error(IO::TimeoutError)
      end

      it "feed_loop passes on what comes in" do
        chunks = []
        expect(together(-> { reader.feed_loop(chunks, :push) }, write_late(writer, "abc"))).to be(reader)
        expect(chunks).to eq(["abc"])
      end

      it "recv_loop receives from a connection" do
        near, far = UNIXSocket.pair
        expect(together(-> { collect(near, :recv_loop) }, write_late(far, "abc"))).to eq(["abc"])
        near.close
      end

      it "recv_loop receives datagrams" do
        near, far = UNIXSocket.pair(:DGRAM)
        sending = lambda do
          sleep 0.002
          far.send("", 0)
          far.send("abc", 0)
        end
        receiving = -> { near.recv_loop { |chunk| chunk.empty? || (break chunk) } }
        expect(together(receiving, sending)).to eq("abc")
        [near, far].each(&:close)
      end

      it "recv_loop on datagrams honours IO#timeout" do
        near, far = UNIXSocket.pair(:DGRAM)
        near.timeout = 0.01
        expect { together(-> { collect(near, :recv_loop) }, -> {}) }.to raise_error(IO::TimeoutError)
        [near, far].each(&:close)
      end

      it "accept_loop yields connections until the server is closed" do
        addresses = { TCPServer => ["127.0.0.1", 0], UNIXServer => ["\0polyphony-#{Process.pid}"] }
        addresses.each do |kind, address|
          server = kind.new(*address)
          names = []
          serving = lambda do
            server.accept_loop do |client|
              names << [client.class, client.read]
              client.close
              server.close if names.size == 2
            end
          end
          connecting = lambda do
            2.times do |number|
              sleep 0.002
              server.local_address.connect { |client| client << number.to_s }
            end
          end
          expect(together(serving, connecting)).to be_nil
          expect(names).to eq(%w[0 1].map { |text| [kind.superclass, text] })
        end
      end

      it "accept_loop raises for a socket that doesn't listen" do
        socket = Socket.new(:INET, :STREAM)
        expect { together(-> { socket.accept_loop { nil } }, -> {}) }.to raise_error(Errno::EINVAL)
        socket.close
      end

      it "Polyphony::Pipe reads and writes" do
        pipe = Polyphony.pipe
        writing = lambda do
          sleep 0.002
          pipe.puts("one", "two")
          pipe << "rest"
          pipe.close
        end
        reading = -> { [pipe.gets, *collect(pipe, :read_loop, 100)] }
        expect(together(reading, writing)).to eq(["one\n", "two\nrest"])
      end
    end
  end

  # These borrow a machine under another scheduler, and make the thread's in a plain one.
  side_by_side.each do |name, run|
    context "#{name}, moving bytes" do
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

  it "serves many transfers of a thread at once", :gc do
    pairs = Array.new(8) { [IO.pipe, UNIXSocket.pair] }
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
    expect(moved.sort).to eq((1..8).to_a)
    pairs.flatten.each(&:close)
  end

  it "lets the fibers of a thread run that gets its machine in accept_loop" do
    server = TCPServer.new("127.0.0.1", 0)
    serving = Thread.new do
      server.accept_loop do |client|
        spin do
          client << client.readpartial(10)
          client.close
        end
      end
    end
    answers = Array.new(3) do |number|
      server.local_address.connect do |client|
        client << number.to_s
        client.read
      end
    end
    expect(answers).to eq(%w[0 1 2])
    server.shutdown(:RD)
    serving.join
    server.close
  end

  it "uses the machine in a fiber that was spun, whatever scheduler the thread has" do
    reader, writer = IO.pipe
    chunks = SpecSupport::ForeignScheduler.run do |scheduler|
      spun = Thread.current.machine.spin { collect(reader) }
      writer << "abc"
      writer.close
      value = Thread.current.machine.join(spun)
      raise "the scheduler was asked" if scheduler.waits.positive?

      value
    end
    expect(chunks).to eq(["abc"])
  end
end
