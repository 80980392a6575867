# frozen_string_literal: true

require_relative "../support/polyphony"

# What becomes of those who wait for an IO that another fiber closes, and of its descriptor's number.
RSpec.describe "closing an IO that a fiber waits for", :polyphony do
  # What waits for a source that says nothing. `dest` is open, and takes nothing either.
  waits = {
    "gets" => ->(source, _) { source.gets },
    "read" => ->(source, _) { source.read },
    "readpartial" => ->(source, _) { source.readpartial(1) },
    "each_line" => ->(source, _) { source.each_line { nil } },
    "wait_readable" => ->(source, _) { source.wait_readable(20) },
    "IO.copy_stream" => ->(source, dest) { IO.copy_stream(source, dest) },
    "read_loop" => ->(source, _) { source.read_loop { nil } },
    "recv_loop" => ->(source, _) { source.recv_loop { nil } },
    "feed_loop" => ->(source, _) { source.feed_loop(proc {}) },
    "IO.splice" => ->(source, dest) { IO.splice(source, dest) },
    "IO.splice of one move" => ->(source, dest) { IO.splice(source, dest, 10) },
    "IO.double_splice" => ->(source, dest) { IO.double_splice(source, dest) },
    "IO.http1_splice_chunked" => ->(source, dest) { IO.http1_splice_chunked(source, dest, 100) },
    "Polyphony.proxy" => ->(source, dest) { Polyphony.proxy(source, dest) },
    "IO.gzip" => ->(source, dest) { IO.gzip(source, dest) },
    "IO.gunzip" => ->(source, dest) { IO.gunzip(source, dest) }
  }
  transfers = waits.select { |name, _| name.match?(/splice|proxy|zip/) }

  # The fiber waits when this returns. Its value is the error that it ends with.
  def waiting_fiber
    fiber = spin do
      yield
    rescue StandardError => e
      e
    end
    5.times { snooze }
    sleep 0.005
    expect(fiber).not_to be_done
    fiber
  end

  def expect_closed(fiber)
    error = interrupt_after(5) { fiber.await }
    expect([error.class, error.message]).to eq([IOError, "stream closed in another thread"])
    error
  end

  def pair = UNIXSocket.pair.each { |socket| opened << socket }

  def opened = @opened ||= []

  after { opened.each(&:close) }

  # Files until one of them has the number.
  def take_number(number)
    files = Array.new(40) { File.open(File::NULL, "r+").tap { |file| opened << file } }
    files.find { |file| file.fileno == number } || raise("nobody gets the number")
  end

  waits.each do |name, wait|
    describe "in #{name}" do
      it "ends the wait, and tells the peer at once" do
        peer, source = pair
        dest, = pair
        fiber = waiting_fiber { wait.call(source, dest) }
        spin { source.close }.await
        expect(peer.read_nonblock(1, exception: false)).to be_nil
        expect_closed(fiber)
      end

      it "ends it from the main fiber, and from another thread" do
        [-> { _1.close }, ->(source) { spin { Thread.new { source.close }.join }.await }].each do |close|
          peer, source = pair
          dest, = pair
          fiber = waiting_fiber { wait.call(source, dest) }
          close.call(source)
          expect_closed(fiber)
          expect(peer.read).to eq("")
        end
      end
    end
  end

  transfers.each do |name, transfer|
    describe "in #{name}" do
      it "ends the wait for the source when it is the destination that is closed" do
        feeder, source = pair
        dest, peer = pair
        fiber = waiting_fiber { transfer.call(source, dest) }
        spin { dest.close }.await
        expect(peer.read_nonblock(1, exception: false)).to be_nil
        expect_closed(fiber)
        feeder.close
      end

      it "leaves the source's number to the next file" do
        feeder, source = pair
        dest, peer = pair
        number = source.fileno
        fiber = waiting_fiber { transfer.call(source, dest) }
        secret, other = pair
        other.write("secret")
        spin { source.close && nil }.await
        take_number(number).reopen(secret)
        expect_closed(fiber)
        sent = peer.read_nonblock(100, exception: false)
        expect(sent.is_a?(String) && sent.include?("secret")).to be(false)
        feeder.close
      end

      it "leaves the destination's number to the next file" do
        feeder, source = pair
        dest, = pair
        number = dest.fileno
        fiber = waiting_fiber { transfer.call(source, dest) }
        victim, peer = pair
        spin { dest.close && nil }.await
        take_number(number).reopen(victim)
        feeder.write("secret")
        feeder.close
        expect_closed(fiber)
        expect(peer.read_nonblock(100, exception: false)).to eq(:wait_readable)
      end
    end
  end

  it "ends the wait for room in it, by the bytes that it took, whoever gets its number" do
    opened << source = File.open("/dev/zero", "rb")
    dest, = pair
    number = dest.fileno
    fiber = waiting_fiber { IO.splice(source, dest) }
    victim, peer = pair
    spin { dest.close && nil }.await
    take_number(number).reopen(victim)
    expect(expect_closed(fiber).bytes_moved).to be_positive
    expect(peer.read_nonblock(100, exception: false)).to eq(:wait_readable)
  end

  it "ends accepting, and nobody listens any more" do
    server = TCPServer.new("127.0.0.1", 0)
    port = server.local_address.ip_port
    fiber = waiting_fiber { server.accept }
    spin { server.close }.await
    expect { TCPSocket.new("127.0.0.1", port) }.to raise_error(Errno::ECONNREFUSED)
    expect_closed(fiber)
  end

  it "ends IO.tee, whichever end it is" do
    [0, 1].each do |closed|
      (reader,), (_, writer) = pipes = [IO.pipe, IO.pipe]
      fiber = waiting_fiber { IO.tee(reader, writer, 10) }
      spin { [reader, writer][closed].close }.await
      expect_closed(fiber)
      pipes.flatten.each(&:close)
    end
  end

  it "ends a wait for a bare descriptor that the machine closes, and uses its number no more" do
    feeder, number = UM.socketpair(Socket::AF_UNIX, Socket::SOCK_STREAM, 0)
    dest, peer = pair
    fiber = waiting_fiber { IO.double_splice(number, dest) }
    spin { Polyphony.machine.close(number) }.await
    take_number(number)
    expect(interrupt_after(5) { fiber.await }).to be_a(Errno::EBADF)
    expect(peer.read_nonblock(100, exception: false)).to eq(:wait_readable)
    Polyphony.machine.close(feeder)
  end

  it "writes what Ruby has held back before it closes" do
    near, far = pair
    near.sync = false
    near.write("kept back")
    reading = waiting_fiber { near.read_loop { nil } }
    spin { near.close }.await
    expect(far.read_nonblock(100)).to eq("kept back")
    expect_closed(reading)
  end

  it "a second time, or what was never open, is as in plain Ruby" do
    reader, = IO.pipe
    expect([reader.close, reader.close]).to eq([nil, nil])
    expect { IO.allocate.close }.to raise_error(IOError, /uninitialized/)
  end

  # Ruby 3.3 and 3.4 ask no scheduler.
  it "takes back what the ring was asked for where there is only a scheduler" do
    outcome = ruby_program(<<~'RUBY')
      require "uringmachine"
      require "socket"
      read = Array.new(20) do
        Thread.new do
          Fiber.set_scheduler(UM::FiberScheduler.new)
          socket, peer = UNIXSocket.pair
          thread = Thread.current
          Fiber.schedule do
            thread.thread_variable_set(:read, (socket.readpartial(100) rescue $!.class))
          end
          socket.close
          other, far = UNIXSocket.pair
          far.write("secret")
          Fiber.schedule { sleep 0.002 }
          [other, far, peer]
        end
      end
      p read.map { |thread| thread.join.thread_variable_get(:read) }.tally
    RUBY
    expect([outcome.stdout, outcome.stderr]).to eq(["{IOError=>20}
".then { RUBY_VERSION >= "3.4" ? _1.sub("=>", " => ") : _1 }, ""])
  end

  describe "in a thread, from the main fiber" do
    it "ends that wait, and closing comes back" do
      outcome = ruby_program(<<~'RUBY')
        require "polyphony"
        require "open3"
        Thread.report_on_exception = false
        reader, = IO.pipe
        thread = Thread.new { reader.read rescue $!.class }
        sleep 0.05
        p [reader.close, thread.value]
        spin { sleep 0.05; raise IndexError }
        p((Open3.capture2("sleep 0.3") rescue $!.class))
      RUBY
      expect([outcome.stdout, outcome.stderr]).to eq(["[nil, IOError]\nIndexError\n", ""])
    end
  end
end
