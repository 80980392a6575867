# frozen_string_literal: true

require_relative "../support/machine_helpers"

# Every call that waits can be interrupted, and leaves nothing behind.
RSpec.describe UM, "cancellation" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }

  # What waits for ever, by name: makes a callable.
  waits = {
    "read" => -> { pipe.then { |fd,| -> { machine.read(fd, +"", 10) } } },
    "read of a socket" => -> { socketpair.then { |fd,| -> { machine.read(fd, +"", 10) } } },
    "read into an IO::Buffer" => -> { pipe.then { |fd,| -> { machine.read(fd, IO::Buffer.new(10), 10) } } },
    "write to a full pipe" => -> { full_pipe.then { |_, fd| -> { machine.write(fd, "x" * 5000) } } },
    "short write to a full pipe" => -> { full_pipe.then { |_, fd| -> { machine.write(fd, "x") } } },
    "recv" => -> { socketpair.then { |fd,| -> { machine.recv(fd, +"", 10, 0) } } },
    "send on a full socket" => lambda {
      full_socketpair.then { |fd,| -> { machine.send(fd, "x" * 5000, -1, 0) } }
    },
    "read_each" => -> { pipe.then { |fd,| -> { machine.read_each(fd) { nil } } } },
    "recv_each" => -> { socketpair.then { |fd,| -> { machine.recv_each(fd, 0) { nil } } } },
    "recv_each of datagrams" => lambda {
      socketpair(Socket::SOCK_DGRAM).then { |fd,| -> { machine.recv_each(fd, 0) { nil } } }
    },
    "writev to a full pipe" => -> { full_pipe.then { |_, fd| -> { machine.writev(fd, "x" * 5000, "y") } } },
    "sendv on a full socket" => lambda {
      full_socketpair.then { |fd,| -> { machine.sendv(fd, "x" * 5000, "y") } }
    },
    "send_fd on a full socket" => -> { full_socketpair.then { |fd,| -> { machine.send_fd(fd, fd) } } },
    "recv_fd" => -> { socketpair.then { |fd,| -> { machine.recv_fd(fd) } } },
    "accept" => -> { listener.then { |fd,| -> { machine.accept(fd) } } },
    "accept_each" => -> { listener.then { |fd,| -> { machine.accept_each(fd) { nil } } } },
    "connect" => lambda {
      port = full_listener
      fd = keep(machine.socket(Socket::AF_INET, Socket::SOCK_STREAM, 0, 0))
      -> { machine.connect(fd, "127.0.0.1", port) }
    },
    # With O_CREAT the kernel doesn't try it without waiting first.
    "open of a FIFO" => -> { fifo.then { |path| -> { machine.open(path, File::RDONLY | File::CREAT) } } },
    "poll" => -> { pipe.then { |fd,| -> { machine.poll(fd, SpecSupport::MachineHelpers::POLLIN) } } },
    "select" => lambda {
      [pipe, full_pipe].then { |(reader, _), (_, writer)| -> { machine.select([reader], [writer], []) } }
    },
    "sleep" => -> { -> { machine.sleep(0) } },
    "sleep with a duration" => -> { -> { machine.sleep(1000) } },
    "periodically" => -> { -> { machine.periodically(1000) { nil } } },
    "join" => -> { -> { machine.join(machine.spin { machine.yield }, machine.spin { machine.yield }) } },
    "await" => -> { -> { machine.await(machine.spin { machine.yield }) } },
    "await_any" => -> { -> { machine.await_any(*Array.new(3) { machine.spin { machine.yield } }) } },
    "yield" => -> { -> { machine.yield } },
    "switch" => -> { -> { machine.switch } },
    "splice" => -> { [pipe, pipe].then { |(from, _), (_, to)| -> { machine.splice(from, to, 10) } } },
    "splice to a full pipe" => lambda {
      [full_pipe, full_pipe].then { |(from, _), (_, to)| -> { machine.splice(from, to, 10) } }
    },
    "tee" => -> { [pipe, pipe].then { |(from, _), (_, to)| -> { machine.tee(from, to, 10) } } }
  }
  # These the kernel cancels on a thread of its own, which takes a moment.
  offloaded = ["open of a FIFO", "splice", "splice to a full pipe", "tee"]

  shared_examples "an interruptible wait" do |name|
    def interrupted(waiting = parked { wait.call })
      machine.sleep(0.001)
      yield waiting
      machine.join(waiting)
    end

    after { machine.terminate(machine.fiber_set) }

    define_method(:expect_nothing_left) do
      machine.terminate(machine.fiber_set)
      offloaded.include?(name) ? settle : snooze
      machine.sleep(0.001)
      snooze
      expect(pending).to eq(0)
    end

    it "raises a scheduled exception" do
      error = stop.new
      expect(interrupted { |fiber| machine.schedule(fiber, error) }).to be(error)
      expect_nothing_left
    end

    it "raises an exception that is scheduled before the kernel knows of the wait" do
      fiber = machine.spin { wait.call }
      machine.snooze
      machine.schedule(fiber, stop.new)
      expect(machine.join(fiber)).to be_a(stop)
      expect_nothing_left
    end

    it "raises an exception that is scheduled before the wait begins" do
      fiber = machine.spin { wait.call }
      machine.schedule(fiber, stop.new)
      expect(machine.join(fiber)).to be_a(stop)
      expect_nothing_left
    end

    it "raises what Fiber#raise is given" do
      expect(interrupted { |fiber| soon { fiber.raise(stop) } }).to be_a(stop)
      expect_nothing_left
    end

    it "is ended by terminate" do
      expect(interrupted { |fiber| machine.terminate(fiber) }).to be_a(described_class::Terminate)
      expect_nothing_left
    end

    it "is ended by Fiber#kill" do
      expect(interrupted { |fiber| soon { fiber.kill } }).to be_nil
      expect_nothing_left
    end

    it "raises a timeout's class of exception" do
      expect(machine.join(machine.spin { machine.timeout(0.001, stop) { wait.call } })).to be_a(stop)
      expect_nothing_left
    end

    it "raises a timeout's exception in the main fiber" do
      error = stop.new
      expect(error_of { machine.timeout(0.001, error) { wait.call } }).to be(error)
      expect_nothing_left
    end

    it "raises a timeout's exception while other fibers are busy" do
      machine.spin { loop { machine.snooze } }
      expect { machine.timeout(0.001, stop) { wait.call } }.to raise_error(stop)
      expect_nothing_left
    end

    it "keeps the second of two exceptions for the next wait" do
      fiber = parked do
        wait.call
      rescue RuntimeError => e
        [e.message, error_of { machine.sleep(0) }.message]
      end
      interrupted(fiber) do
        machine.schedule(fiber, RuntimeError.new("one"))
        machine.schedule(fiber, RuntimeError.new("two"))
      end
      expect(fiber.result).to eq(%w[one two])
      expect_nothing_left
    end

    it "can be begun again in the same fiber" do
      fiber = parked do
        Array.new(3) { error_of { machine.timeout(0.001, stop) { wait.call } }.class }
      end
      expect(machine.join(fiber)).to eq([stop] * 3)
      expect_nothing_left
    end

    next if name == "periodically" # whose value is nil

    it "returns a timeout's plain value" do
      expect(machine.timeout(0.001, :late) { wait.call }).to eq(:late)
      expect_nothing_left
    end

    next if name == "accept_each" # which a stray wake doesn't end

    it "returns a scheduled plain value" do
      expect(interrupted { |fiber| machine.schedule(fiber, :value) }).to eq(:value)
      expect_nothing_left
    end
  end

  waits.each do |name, make|
    describe name do
      let!(:wait) { instance_exec(&make) }

      # A socket that is being connected can't be connected again.
      include_examples "an interruptible wait", name unless name == "connect"
    end
  end

  describe "connect" do
    let!(:wait) { instance_exec(&waits["connect"]) }

    it "raises a scheduled exception" do
      fiber = parked { wait.call }
      machine.schedule(fiber, stop.new)
      expect(machine.join(fiber)).to be_a(stop)
      snooze
      expect(pending).to eq(0)
    end

    it "raises a timeout's exception" do
      expect { machine.timeout(0.001, stop) { wait.call } }.to raise_error(stop)
      snooze
      expect(pending).to eq(0)
    end

    it "returns a plain value" do
      expect(machine.timeout(0.001, :late) { wait.call }).to eq(:late)
    end
  end

  describe "what is left" do
    let(:buffer) { +"before" }

    it "is a buffer that can be used, with what it held" do
      reader, = pipe
      expect { machine.timeout(0.001, stop) { machine.read(reader, buffer, 100, -1) } }.to raise_error(stop)
      expect(buffer << " and after").to eq("before and after")
    end

    it "is an IO::Buffer that can be used" do
      reader, = pipe
      memory = IO::Buffer.new(16)
      expect { machine.timeout(0.001, stop) { machine.read(reader, memory, 16) } }.to raise_error(stop)
      expect(memory.locked?).to be(false)
    end

    it "is an IO::Buffer that can be used, after a write" do
      _, writer = full_pipe
      memory = IO::Buffer.new(5000)
      expect { machine.timeout(0.001, stop) { machine.write(writer, memory) } }.to raise_error(stop)
      expect(memory.locked?).to be(false)
    end

    it "is a pipe from which everything can be read" do
      reader, writer = pipe
      expect { machine.timeout(0.001, stop) { machine.read(reader, buffer, 100) } }.to raise_error(stop)
      machine.write(writer, "later")
      expect(machine.read(reader, buffer, 100)).to eq(5)
      expect(buffer).to eq("later")
    end

    it "is a socket from which everything can be received" do
      one, other = socketpair
      expect { machine.timeout(0.001, stop) { machine.recv(one, buffer, 100, 0) } }.to raise_error(stop)
      machine.send(other, "later", -1, 0)
      machine.recv(one, buffer, 100, 0)
      expect(buffer).to eq("later")
    end

    it "is a pipe that nothing was written to" do
      reader, writer = full_pipe
      expect { machine.timeout(0.001, stop) { machine.write(writer, "lost" * 2000) } }.to raise_error(stop)
      machine.read(reader, buffer, 100_000)
      expect(buffer).to eq("x" * SpecSupport::MachineHelpers::PIPE_SIZE)
      expect(machine.timeout(0.005, :empty) { machine.read(reader, buffer, 10) }).to eq(:empty)
    end

    it "is a listener that loses no connection" do
      fd, port = listener
      3.times do
        expect { machine.timeout(0.001, stop) { machine.accept(fd) } }.to raise_error(stop)
        one = client(port)
        accepted = keep(soon { machine.accept(fd) })
        machine.write(accepted, "hello")
        machine.read(one, buffer, 10)
        expect(buffer).to eq("hello")
      end
    end

    it "is a listener whose accept_each loses no connection" do
      fd, port = listener
      expect { machine.timeout(0.001, stop) { machine.accept_each(fd) { nil } } }.to raise_error(stop)
      snooze
      client(port)
      expect(soon { machine.accept_each(fd) { |accepted| break keep(accepted) } }).to be_an(Integer)
    end

    it "is a source whose bytes are not lost by a splice" do
      from, into = pipe
      target, to = pipe
      expect { machine.timeout(0.001, stop) { machine.splice(from, to, 10) } }.to raise_error(stop)
      settle
      machine.write(into, "later")
      expect(soon { machine.splice(from, to, 10) }).to eq(5)
      machine.read(target, buffer, 10)
      expect(buffer).to eq("later")
    end

    it "is no block called with a plain value in the descriptor's place" do
      path = fifo
      opened = machine.timeout(0.001, 1) { machine.open(path, File::RDONLY | File::CREAT) { raise "called" } }
      expect(opened).to eq(1)
      settle
      expect { machine.poll(1, SpecSupport::MachineHelpers::POLLOUT) }.not_to raise_error
    end

    it "is a FIFO that can be opened" do
      path = fifo
      flags = File::RDONLY | File::CREAT
      expect { machine.timeout(0.001, stop) { machine.open(path, flags) } }.to raise_error(stop)
      settle
      reader = machine.spin { keep(machine.open(path, File::RDONLY)) }
      writer = machine.spin { keep(machine.open(path, File::WRONLY)) }
      expect(soon { machine.join(reader, writer) }).to all(be_an(Integer))
    end

    it "is no descriptor when an open was interrupted" do
      100.times do
        fiber = machine.spin { machine.open(File::NULL, File::RDONLY) }
        machine.snooze
        machine.schedule(fiber, stop.new)
        machine.join(fiber)
      end
    end
  end

  describe "racing with completion, a thousand times" do
    let(:buffer) { +"" }

    # Bytes that came in by reads which were interrupted or not: none may be missing or twice.
    def race(reader)
      received = +""
      1000.times do |turn|
        fiber = machine.spin { machine.timeout(10, stop) { machine.read(reader, buffer.clear, 100) } }
        machine.snooze
        machine.submit if turn[0].zero?
        yield fiber, turn
        machine.join(fiber)
        received << buffer
      end
      received << buffer if machine.timeout(0.005, nil) { machine.read(reader, buffer, 10_000) }
      received
    end

    def letter(turn) = (97 + (turn % 26)).chr

    it "loses no byte to scheduled exceptions" do
      reader, writer = pipe
      output = as_io(writer, "w")
      received = race(reader) do |fiber, turn|
        output.syswrite(letter(turn)) if turn[1].zero?
        machine.schedule(fiber, stop.new)
        output.syswrite(letter(turn)) if turn[1] == 1
      end
      expect(received).to eq(Array.new(1000) { |turn| letter(turn) }.join)
    end

    it "loses no byte to scheduled values" do
      one, other = socketpair
      output = as_io(other, "w")
      received = race(one) do |fiber, turn|
        output.syswrite(letter(turn))
        machine.schedule(fiber, :value)
      end
      expect(received).to eq(Array.new(1000) { |turn| letter(turn) }.join)
    end

    it "loses no byte to timeouts" do
      reader, writer = pipe
      received = +""
      sender = machine.spin do
        1000.times { |turn| machine.sleep(0.00005) && machine.write(writer, letter(turn)) }
        close(writer)
      end
      loop do
        buffer.clear
        count = machine.timeout(0.0001, nil) { machine.read(reader, buffer, 100) }
        received << buffer
        break if count&.zero?
      end
      machine.join(sender)
      expect(received).to eq(Array.new(1000) { |turn| letter(turn) }.join)
    end

    it "loses no exception" do
      reader, writer = pipe
      output = as_io(writer, "w")
      caught = 0
      1000.times do
        fiber = machine.spin do
          machine.read(reader, +"", 1)
          machine.sleep(0)
        rescue stop
          caught += 1
        end
        machine.snooze
        machine.submit
        output.syswrite("x")
        machine.schedule(fiber, stop.new)
        machine.join(fiber)
      end
      expect(caught).to eq(1000)
    end

    it "doesn't mix up sleeps" do
      fibers = Array.new(1000) do |number|
        machine.spin { machine.timeout(0.001, :late) { machine.sleep(0.001 + ((number % 3) * 0.000001)) } }
      end
      expect(machine.join(fibers)).to all(eq(:late).or(be_a(Float)))
      expect(pending).to eq(0)
    end
  end

  describe "of many at once" do
    it "ends a thousand reads" do
      reader, = pipe
      fibers = Array.new(1000) { machine.spin { machine.read(reader, +"", 10) } }
      snooze
      machine.terminate(fibers)
      expect(machine.join(fibers)).to all(be_a(described_class::Terminate))
      settle
      expect(pending).to eq(0)
    end

    it "ends reads that outnumber the ring's entries" do
      small = described_class.new(size: 128)
      reader, = pipe
      fibers = Array.new(1000) { small.spin { small.read(reader, +"", 10) } }
      small.snooze
      small.terminate(fibers)
      expect(small.join(fibers)).to all(be_a(described_class::Terminate))
      10.times { small.snooze }
      expect(small.metrics[:ops_pending]).to eq(0)
    end
  end

  describe "by close" do
    it "ends a read with EBADF" do
      reader, = pipe
      fiber = parked { machine.read(reader, +"", 10) }
      expect(close(reader)).to eq(reader)
      expect(soon { machine.join(fiber) }).to be_a(Errno::EBADF)
      snooze
      expect(pending_after_a_turn).to eq(0)
    end

    it "ends a read that the kernel doesn't know yet" do
      reader, = pipe
      fiber = machine.spin { machine.read(reader, +"", 10) }
      machine.snooze
      close(reader)
      expect(soon { machine.join(fiber) }).to be_a(Errno::EBADF)
    end

    it "ends all that waits on the descriptor" do
      one, = socketpair
      fibers = [
        parked { machine.read(one, +"", 10) }, parked { machine.recv(one, +"", 10, 0) },
        parked { machine.poll(one, SpecSupport::MachineHelpers::POLLIN) },
        parked { machine.select([one], [], []) }
      ]
      close(one)
      expect(soon { machine.join(fibers) }).to all(be_a(Errno::EBADF))
    end

    it "ends a write, a send and an accept" do
      _, writer = full_pipe
      socket, = full_socketpair
      server, = listener
      fibers = [
        parked { machine.write(writer, "x") }, parked { machine.send(socket, "x", -1, 0) },
        parked { machine.accept(server) }
      ]
      [writer, socket, server].each { |fd| close(fd) }
      expect(soon { machine.join(fibers) }).to all(be_a(Errno::EBADF))
    end

    it "ends a splice from and to the descriptor" do
      2.times do |position|
        from, = pipe
        _, to = pipe
        fiber = parked { machine.splice(from, to, 10) }
        machine.sleep(0.002)
        close([from, to][position])
        expect(soon(2) { machine.join(fiber) }).to be_a(Errno::EBADF)
      end
    end

    it "ends a tee from and to the descriptor" do
      2.times do |position|
        from, = pipe
        _, to = pipe
        fiber = parked { machine.tee(from, to, 10) }
        machine.sleep(0.002)
        close([from, to][position])
        expect(soon(2) { machine.join(fiber) }).to be_a(Errno::EBADF)
      end
    end

    it "shows the other side EOF although a read was in flight" do
      one, other = socketpair
      parked { machine.read(one, +"", 10) }
      close(one)
      expect(soon { machine.read(other, +"", 10) }).to eq(0)
    end

    it "shows a writer EPIPE although a read was in flight" do
      reader, writer = pipe
      parked { machine.read(reader, +"", 10) }
      close(reader)
      expect { machine.write(writer, "x") }.to raise_error(Errno::EPIPE)
    end

    it "doesn't let the read go on in a file that gets the same number" do
      reader, = pipe
      fiber = machine.spin { machine.read(reader, +"", 10) }
      machine.snooze
      close(reader)
      fresh, writer = pipe
      machine.write(writer, "hello")
      expect(fresh).to eq(reader)
      expect(machine.join(fiber)).to be_a(Errno::EBADF)
      expect(machine.read(fresh, +"", 10)).to eq(5)
    end

    it "doesn't end what waits on a duplicate of the descriptor" do
      reader, writer = pipe
      duplicate = keep(as_io(reader).dup.tap { |io| io.autoclose = false }.fileno)
      fiber = parked { machine.read(duplicate, +"", 10) }
      close(reader)
      machine.write(writer, "hello")
      expect(machine.join(fiber)).to eq(5)
    end
  end
end
