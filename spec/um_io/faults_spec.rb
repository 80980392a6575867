# frozen_string_literal: true

require_relative "../support/um_io"

RSpec.describe UM::IO, "faults" do
  include SpecSupport::UMIO

  let!(:source) { pipe_source }
  let(:io) { source.io }
  let(:fd) { descriptors.first }

  describe "a descriptor that is closed" do
    { "read" => ->(io) { io.read(9) }, "read_line" => :read_line.to_proc, "skip" => ->(io) { io.skip(9) },
      "read_to_delim" => ->(io) { io.read_to_delim("|") }, "read_each" => ->(io) { io.read_each { nil } } }
      .each do |name, call|
      it "ends ##{name} with EBADF" do
        fiber = parked { call.call(io) }
        close(fd)
        expect(soon { machine.join(fiber) }).to be_a(Errno::EBADF)
        expect { call.call(io) }.to raise_error(Errno::EBADF)
        expect(pending_after_a_turn).to eq(0)
      end
    end

    it "leaves what has come" do
      source.feed("foobar")
      expect(io.read(1)).to eq("f")
      close(fd)
      expect([io.read(3), io.pending, io.read(0)]).to eq(["oob", 2, "ar"])
      2.times { expect { io.read(1) }.to raise_error(Errno::EBADF) }
    end

    it "isn't read by its number when that is another file's" do
      expect(machine.timeout(0.001, nil) { io.read(1) }).to be_nil
      fresh = open_io(fd)
      close(fd)
      machine.snooze
      descriptors.concat(again = UM.pipe)
      expect(again.first).to eq(fd)
      machine.write(again.last, "secret")
      [io, fresh].each { |stale| 2.times { expect { soon { stale.read(1) } }.to raise_error(Errno::EBADF) } }
      expect(open_io(fd).read(6)).to eq("secret")
    end

    it "isn't read while its block waits" do
      source.feed("foo")
      error = error_of { io.read_each { close(fd) } }
      expect(error).to be_a(Errno::EBADF)
    end
  end

  it "raises the error of a connection that was reset, behind what came before it" do
    listening, port = listener
    socket = TCPSocket.new("127.0.0.1", port)
    io = open_io(keep(machine.accept(listening)))
    socket.write("foobar")
    expect(io.read(3)).to eq("foo")
    snooze
    socket.setsockopt(Socket::Option.linger(true, 0))
    socket.close
    expect(soon { io.read(3) }).to eq("bar")
    expect { soon { io.read(1) } }.to raise_error(Errno::ECONNRESET)
    expect(soon { io.read(1) }).to be_nil
  end

  it "raises the error of a TLS connection that is cut off, behind what came before it" do
    server, client = tls_pair
    io = open_io(server)
    machine.ssl_write(client, "foobar", 0)
    expect(io.read(3)).to eq("foo")
    client.to_io.close
    expect { io.read(4) }.to raise_error(UM::Error, /SSL_read/)
    expect(io.read(3)).to eq("bar")
  end

  it "is of its machine's thread" do
    source.feed("foo")
    calls = [-> { io.read(1) }, -> { io.read_line }, -> { io.skip(1) }, -> { io.read_each { nil } },
             -> { io.clear }, -> { io.pending }, -> { io.eof? }, -> { io.write("x") },
             -> { UM::IO.new(machine, fd) }]
    errors = Thread.new { calls.map { |call| error_of(&call) } }.value
    expect(errors.map(&:message)).to all(match(/another thread/))
    expect(io.read(3)).to eq("foo")
  end

  it "is of its machine's process" do
    source.feed("foobar")
    expect(io.read(1)).to eq("f")
    reader, writer = IO.pipe
    child = fork do
      calls = [-> { io.read(1) }, -> { io.read(100) }, -> { io.clear }, -> { io.pending },
               -> { io.write("x") }]
      writer.write(calls.map { |call| error_of(&call)&.message.to_s[/before a fork/].inspect }.uniq.join)
    ensure
      exit!(0)
    end
    Process.wait(child)
    writer.close
    expect([reader.read, io.read(5)]).to eq(['"before a fork"', "oobar"])
    reader.close
  end

  describe "an IO that nobody has any more" do
    def collect
      SpecSupport::LeakCheck.collect_garbage(200)
      snooze
    end

    it "gives back its buffers, and leaves what comes to others" do
      pipes = Array.new(50) { pipe }
      pipes.each { |reader, writer| forget_io(reader, writer) }
      expect([unread_segments, pending]).to eq([50, 50])
      3.times { collect }
      pipes.each { |_, writer| machine.write(writer, "later") }
      later = pipes.count { |reader, _| machine.timeout(0.001, nil) { machine.read(reader, +"", 100) } == 5 }
      # The GC may see some of them in old places of its stack.
      expect([later, unread_segments, pending_after_a_turn]).to match([be > 40, be < 20, be < 10])
    end

    # Reads a byte of several by an IO that goes out of sight.
    def forget_io(reader, writer)
      machine.write(writer, "foo")
      machine.join(machine.spin { machine.io(reader).read(1) })
    end

    it "leaves its place to the next" do
      3000.times { machine.io(fd) }
      collect
      source.feed("foo")
      expect(io.read(3)).to eq("foo")
    end
  end

  it "reads with an idle fiber for each of many descriptors" do
    sources = Array.new(100) { pipe_source }
    fibers = sources.map { |source| machine.spin { source.io.read_line } }
    snooze
    sources.each_with_index { |source, number| source.feed("line #{number}\n") }
    expect(soon { machine.join(fibers) }).to eq(Array.new(100) { |number| "line #{number}" })
  end

  it "reads when the submission queue is small" do
    small = UM.new(size: 1)
    reader, writer = pipe
    io = small.io(reader)
    machine.write(writer, "foobar")
    expect([soon { io.read(3) }, io.read(3)]).to eq(%w[foo bar])
    io.clear
    small.snooze
    expect(small.metrics[:ops_pending]).to eq(0)
  end

  it "works as the scheduler's fibers do" do
    outcome = ruby_program(<<~RUBY)
      require "uringmachine"
      Fiber.set_scheduler(scheduler = UM::FiberScheduler.new)
      reader, writer = IO.pipe
      Fiber.schedule { puts scheduler.machine.io(reader.fileno).read_line }
      Fiber.schedule { writer.puts "hello" }
    RUBY
    expect(outcome.stdout).to eq("hello\n"), outcome.stdout + outcome.stderr
  end
end
