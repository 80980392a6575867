# frozen_string_literal: true

require_relative "../support/machine_helpers"

# A connection is taken when it is handed out, and not before.
RSpec.describe UM, "connections that are accepted" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:listening) { listener(64) }
  let(:fd) { listening.first }
  let(:port) { listening.last }

  # As listening sockets are by plain calls: accept4 would wait.
  def blocking_listener
    listening
    as_socket(fd).tap { |socket| socket.fcntl(4, socket.fcntl(3) & ~File::NONBLOCK) }
  end

  # How many connections are left in the socket.
  def left
    count = 0
    count += 1 while keep_accepted(as_socket(fd).accept_nonblock(exception: false))
    count
  end

  def keep_accepted(accepted)
    return false if accepted == :wait_readable

    accepted.first.autoclose = false
    keep(accepted.first.fileno)
  end

  {
    "of a socket that doesn't block" => -> { listening },
    "of one that blocks" => -> { blocking_listener }
  }.each do |title, listen|
    describe title do
      before do
        instance_exec(&listen)
        5.times { client(port) }
      end

      it "are left where they are by break" do
        machine.accept_each(fd) { |one| break keep(one) }
        expect(left).to eq(4)
      end

      it "are left where they are by an exception of the block" do
        expect { machine.accept_each(fd) { |one| keep(one) && raise(stop) } }.to raise_error(stop)
        expect(left).to eq(4)
      end

      it "are left to others while the block waits" do
        fiber = parked { machine.accept_each(fd) { |one| keep(one) && machine.yield } }
        snooze
        expect(left).to eq(4)
        machine.terminate(fiber)
      end

      it "are all handed out" do
        accepted = []
        fiber = parked { machine.accept_each(fd) { |one| accepted << keep(one) } }
        soon { machine.sleep(0.001) until accepted.size == 5 }
        machine.terminate(fiber)
        expect([accepted.uniq.size, left]).to eq([5, 0])
      end
    end

    it "are not lost #{title}, a thousand times, however a waiting fiber ends" do
      instance_exec(&listen)
      ends = [
        ->(fiber) { machine.schedule(fiber, stop.new) },
        ->(fiber) { machine.terminate(fiber) },
        ->(fiber) { machine.schedule(fiber, 7) },
        ->(fiber) { machine.snooze && fiber.alive? && fiber.kill },
        ->(_) { machine.sleep(0.0001) }
      ]
      calls = [
        -> { machine.accept(fd) },
        -> { machine.timeout(0.0001, stop) { machine.accept(fd) } },
        -> { machine.accept_each(fd) { |one| break one } }
      ]
      1000.times do |turn|
        accepted = nil
        fiber = machine.spin { accepted = calls[turn % 3].call }
        machine.snooze if turn[0].zero?
        machine.submit if turn[1].zero?
        one = Socket.tcp("127.0.0.1", port)
        machine.snooze if turn[2].zero?
        ends[turn % 5].call(fiber)
        machine.terminate(fiber)
        machine.join(fiber)
        accepted = soon { machine.accept(fd) } unless accepted.is_a?(Integer) && accepted != 7
        machine.close(accepted)
        expect(one.read).to eq("")
        one.close
      end
    end
  end

  it "come behind an exception that comes in the same turn" do
    fiber = parked { keep(machine.accept(fd)) }
    client(port)
    machine.schedule(fiber, stop.new)
    expect([machine.join(fiber), left]).to match([be_a(stop), 1])
  end

  it "are left by a fiber that is killed" do
    fibers = Array.new(2) { parked { keep(machine.accept(fd)) } }
    client(port)
    fibers.first.kill
    expect(soon { machine.join(fibers.last) }).to be_an(Integer)
  end

  it "go to those who wait in order, also when some leave", :gc do
    log = []
    fibers = Array.new(6) { |number| parked { keep(machine.accept(fd)) && (log << number) } }
    [0, 2, 5].each { |number| machine.terminate(fibers[number]) }
    3.times { client(port) && snooze }
    soon { machine.join(fibers.values_at(1, 3, 4)) }
    expect(log).to eq([1, 3, 4])
  end

  it "let other fibers run, however many there are" do
    fd, port = listener(128)
    100.times { client(port) }
    turns = 0
    turning = machine.spin do
      loop do
        turns += 1
        machine.snooze
      end
    end
    accepted = 0
    machine.accept_each(fd) { |one| keep(one) && (accepted += 1) == 100 ? break : nil }
    expect(turns).to be > 0
    machine.terminate(turning)
  end

  it "fill a queue that nobody takes from" do
    queue = UM::Queue.new
    fiber = parked { machine.accept_into_queue(fd, queue) }
    3.times { client(port) }
    soon { machine.sleep(0.001) until queue.count == 3 }
    expect(pending_after_a_turn).to eq(1)
    machine.terminate(fiber)
    3.times { keep(machine.shift(queue)) }
  end

  describe "by a listener that is closed" do
    let(:queue) { UM::Queue.new }
    let(:calls) do
      [-> { machine.accept(fd) }, -> { machine.accept_each(fd) { |one| keep(one) } },
       -> { machine.accept_into_queue(fd, queue) }]
    end

    %i[close close_async].each do |way|
      it "end by EBADF when #{way} does it, and the port is free", :gc do
        fibers = calls.map { |call| parked(&call) }
        port # known before
        descriptors.delete(fd)
        machine.public_send(way, fd)
        expect(soon { machine.join(fibers) }).to all(be_a(Errno::EBADF))
        TCPServer.new("127.0.0.1", port).close
        expect(pending_after_a_turn).to eq(0)
      end
    end

    it "are none, and clients are refused at once" do
      parked(&calls[1])
      port
      close(fd)
      expect { client(port) }.to raise_error(Errno::ECONNREFUSED)
    end

    it "are not those of a listener that has its number, when the block closes it" do
      other = nil
      client(port)
      accepted = 0
      expect do
        machine.accept_each(fd) do |one|
          keep(one)
          accepted += 1
          close(fd)
          other, other_port = listener
          client(other_port)
        end
      end.to raise_error(Errno::EBADF)
      expect([accepted, other]).to eq([1, fd])
    end

    it "are not those of a listener that has its number by the time its fiber runs" do
      fiber = parked { keep(machine.accept(fd)) }
      client(port)
      machine.test_mode = true
      machine.snooze
      close(fd)
      other, other_port = listener
      client(other_port)
      expect([other, machine.join(fiber)]).to match([fd, be_a(Errno::EBADF)])
    end
  end
end
