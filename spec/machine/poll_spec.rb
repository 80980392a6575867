# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "readiness" do
  include SpecSupport::MachineHelpers

  pollin = SpecSupport::MachineHelpers::POLLIN
  pollout = SpecSupport::MachineHelpers::POLLOUT
  pollhup = SpecSupport::MachineHelpers::POLLHUP

  describe "#poll" do
    it "gives the events that are there at once" do
      one, = socketpair
      expect(machine.poll(one, pollin | pollout)).to eq(pollout)
    end

    it "waits for an event" do
      reader, writer = pipe
      fiber = parked { machine.poll(reader, pollin) }
      snooze
      expect(fiber.done?).to be_nil
      machine.write(writer, "x")
      expect(machine.join(fiber)).to eq(pollin)
    end

    it "reports a hang-up that was not asked for" do
      reader, writer = pipe
      fiber = parked { machine.poll(reader, pollin) }
      close(writer)
      expect(machine.join(fiber) & pollhup).to eq(pollhup)
    end

    it "wakes all fibers that poll the descriptor" do
      reader, writer = pipe
      fibers = Array.new(10) { parked { machine.poll(reader, pollin) } }
      machine.write(writer, "x")
      expect(machine.join(fibers)).to eq([pollin] * 10)
    end

    context "with a socket whose peer sends no more" do
      let(:stop) { SpecSupport::MachineHelpers::Stop }
      let(:ends) { socketpair.map { |fd| UNIXSocket.for_fd(fd).tap { |socket| socket.autoclose = false } } }
      let(:one) { ends.first }
      let(:two) { ends.last }

      before do
        two.close_write
        one.setsockopt(:SOCKET, :SNDBUF, 4096)
        nil until one.write_nonblock("x" * 65_536, exception: false) == :wait_writable
      end

      def make_room = (nil until two.read_nonblock(65_536, exception: false) == :wait_readable)

      it "waits for room to write", :gc do
        fiber = parked { machine.poll(one.fileno, pollout) }
        snooze
        expect(fiber.done?).to be_nil
        make_room
        expect(machine.join(fiber)).to eq(pollout)
        expect(pending_after_a_turn).to eq(0)
      end

      it "gives POLLRDHUP to who asks for it" do
        rdhup = 0x2000
        expect(machine.poll(one.fileno, pollout | rdhup)).to eq(rdhup)
      end

      it "ends by a timeout" do
        expect { machine.timeout(0.001, stop) { machine.poll(one.fileno, pollout) } }.to raise_error(stop)
        expect(pending_after_a_turn).to eq(0)
      end

      it "ends by a scheduled exception or value" do
        fibers = Array.new(2) { parked { machine.poll(one.fileno, pollout) } }
        snooze
        fibers.zip([stop.new, 7]) { |fiber, value| machine.schedule(fiber, value) }
        expect(machine.join(fibers)).to match([be_a(stop), 7])
        expect(pending_after_a_turn).to eq(0)
      end

      it "still tells a hang-up" do
        fiber = parked { machine.poll(one.fileno, pollout) }
        snooze
        close(two.fileno)
        expect(machine.join(fiber) & pollhup).to eq(pollhup)
      end
    end

    it "raises EBADF" do
      expect { machine.poll(-1, pollin) }.to raise_error(Errno::EBADF)
      expect(pending).to eq(0)
    end
  end

  describe "#select" do
    it "gives what is ready at once, in the order of the arguments" do
      one, = socketpair
      full, = full_socketpair
      reader, writer = pipe
      machine.write(writer, "x")
      ready = machine.select([full, one, reader], [full, writer, one], [])
      expect(ready).to eq([[reader], [writer, one], []])
    end

    it "waits for one" do
      readers, writers = Array.new(5) { pipe }.transpose
      fiber = parked { machine.select(readers, [], []) }
      machine.write(writers[3], "x")
      expect(machine.join(fiber)).to eq([[readers[3]], [], []])
      settle
      expect(pending).to eq(0)
    end

    it "waits for room to write" do
      reader, writer = full_pipe
      fiber = parked { machine.select([], [writer], []) }
      machine.read(reader, +"", 65_536)
      expect(machine.join(fiber)).to eq([[], [writer], []])
    end

    it "finds EOF readable" do
      reader, writer = pipe
      fiber = parked { machine.select([reader], [], []) }
      close(writer)
      expect(machine.join(fiber)).to eq([[reader], [], []])
    end

    it "finds out-of-band data exceptional" do
      fd, port = listener
      one = client(port)
      other = keep(machine.accept(fd))
      fiber = parked { machine.select([], [], [other]) }
      machine.send(one, "!", -1, Socket::MSG_OOB)
      expect(soon(2) { machine.join(fiber) }).to eq([[], [], [other]])
    end

    it "gives a descriptor that is in two lists in both" do
      one, other = socketpair
      machine.write(other, "x")
      expect(machine.select([one], [one], [])).to eq([[one], [one], []])
    end

    it "gives three empty arrays for nothing, without an op" do
      expect(machine.select([], [], [])).to eq([[], [], []])
      expect(total_ops).to eq(0)
    end

    it "raises EBADF, whichever is bad" do
      reader, = pipe
      expect { machine.select([reader, -1], [], []) }.to raise_error(Errno::EBADF)
      expect { machine.select([reader], [1_000_000], []) }.to raise_error(Errno::EBADF)
      expect(pending).to eq(0)
    end

    it "doesn't change its arguments" do
      reader, writer = pipe
      lists = [[reader].freeze, [writer].freeze, [].freeze]
      expect(machine.select(*lists)).to eq([[], [writer], []])
    end

    it "wakes for room to write to a socket whose peer sends no more" do
      one, two = socketpair.map { |fd| UNIXSocket.for_fd(fd).tap { |socket| socket.autoclose = false } }
      two.close_write
      nil until one.write_nonblock("x" * 65_536, exception: false) == :wait_writable
      fiber = parked { machine.select([], [one.fileno], []) }
      snooze
      expect(fiber.done?).to be_nil
      nil until two.read_nonblock(65_536, exception: false) == :wait_readable
      expect(machine.join(fiber)).to eq([[], [one.fileno], []])
      settle
      expect(pending).to eq(0)
    end

    it "serves five hundred descriptors" do
      readers, writers = Array.new(250) { pipe }.transpose
      fiber = parked { machine.select(readers, [], []) }
      machine.write(writers.last, "x")
      expect(machine.join(fiber)).to eq([[readers.last], [], []])
      settle
      expect(pending).to eq(0)
    end
  end
end
