# frozen_string_literal: true

require_relative "../support/foreign_scheduler"
require_relative "../support/polyphony"

# In fibers of a scheduler that is none of ours, and in threads that have neither a scheduler nor a
# machine.
RSpec.describe "Polyphony's methods" do
  include SpecSupport::WriteLate

  let(:ends) { IO.pipe(binmode: true) }
  let(:reader) { ends.first }
  let(:writer) { ends.last }

  def collect(io, name = :read_loop, *maxlen)
    [].tap { |chunks| io.public_send(name, *maxlen) { |chunk| chunks << chunk } }
  end

  SpecSupport::SIDE_BY_SIDE.each do |name, run|
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
        reading = -> { [pipe.gets, collect(pipe, :read_loop, 100).join] }
        expect(together(reading, writing)).to eq(["one\n", "two\nrest"])
      end
    end
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
