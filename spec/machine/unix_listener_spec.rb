# frozen_string_literal: true

require_relative "../support/machine_helpers"

# The kernel ends an accept of the ring by itself only for TCP.
RSpec.describe UM, "a Unix socket that listens" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let!(:fd) { unix_listener }

  def unix_listener
    fd = keep(machine.socket(Socket::AF_UNIX, Socket::SOCK_STREAM, 0, 0))
    # The kernel finds a name.
    as_socket(fd).bind([Socket::AF_UNIX].pack("S"))
    machine.listen(fd, 16)
    fd
  end

  def connect
    socket = Socket.new(:UNIX, :STREAM)
    socket.autoclose = false
    keep(socket.fileno)
    socket.connect(as_socket(fd).local_address)
  end

  def shut_down = machine.shutdown(fd, Socket::SHUT_RD)

  it "gives connections to accept" do
    fiber = parked { keep(machine.accept(fd)) }
    connect
    expect(soon { machine.join(fiber) }).to be_an(Integer)
    connect
    expect(keep(machine.accept(fd))).to be_an(Integer)
    expect(pending_after_a_turn).to eq(0)
  end

  it "ends accept by EINVAL when it is shut down", :gc do
    fibers = Array.new(2) { parked { machine.accept(fd) } }
    machine.snooze
    shut_down
    expect(soon { machine.join(fibers) }).to all(be_a(Errno::EINVAL))
    expect(pending_after_a_turn).to eq(0)
  end

  it "ends accept_each and accept_into_queue when it is shut down", :gc do
    queue = UM::Queue.new
    fibers = [parked { machine.accept_each(fd) { |one| machine.push(queue, one) } },
              parked { machine.accept_into_queue(fd, queue) }]
    3.times { connect }
    soon { 3.times { keep(machine.shift(queue)) } }
    shut_down
    expect(soon { machine.join(fibers) }).to eq([nil, nil])
    expect(pending_after_a_turn).to eq(0)
  end

  it "ends them when another process shuts it down" do
    fibers = [parked { machine.accept_each(fd) { nil } }, parked { machine.accept(fd) }]
    code = "Socket.for_fd(#{fd}).shutdown(:RD)"
    pid = Process.spawn(RbConfig.ruby, "-rsocket", "-e", code, fd => fd)
    expect(soon { machine.join(fibers) }).to match([nil, be_a(Errno::EINVAL)])
    Process.wait(pid)
  end

  it "ends what waits for its connections when it is closed" do
    fibers = [parked { machine.accept_each(fd) { nil } }, parked { machine.accept(fd) }]
    close(fd)
    expect(soon { machine.join(fibers) }).to all(be_a(Errno::EBADF))
    expect(pending_after_a_turn).to eq(0)
  end

  it "ends by another descriptor of its own" do
    duplicate = as_socket(fd).dup
    fiber = parked { machine.accept_each(fd) { nil } }
    duplicate.shutdown
    expect(soon { machine.join(fiber) }).to be_nil
    duplicate.close
  end

  it "goes on when it is shut down for writing" do
    accepted = []
    fiber = parked { machine.accept_each(fd) { |one| accepted << keep(one) } }
    machine.shutdown(fd, Socket::SHUT_WR)
    connect
    soon { machine.sleep(0.001) until accepted.any? }
    expect(fiber.done?).to be_nil
  end

  it "raises EINVAL when it was shut down before" do
    shut_down
    expect { machine.accept(fd) }.to raise_error(Errno::EINVAL)
    expect { machine.accept_each(fd) { nil } }.to raise_error(Errno::EINVAL)
    expect(pending_after_a_turn).to eq(0)
  end

  it "raises EINVAL where it doesn't listen" do
    one, = socketpair
    expect { machine.accept(one) }.to raise_error(Errno::EINVAL)
    expect { machine.accept_each(one) { nil } }.to raise_error(Errno::EINVAL)
    expect(pending_after_a_turn).to eq(0)
  end

  it "can be left by timeouts, exceptions and values" do
    expect { machine.timeout(0.001, stop) { machine.accept(fd) } }.to raise_error(stop)
    expect { machine.timeout(0.001, stop) { machine.accept_each(fd) { nil } } }.to raise_error(stop)
    fibers = Array.new(2) { parked { machine.accept(fd) } }
    fibers.zip([stop.new, 7]) { |fiber, value| machine.schedule(fiber, value) }
    expect(machine.join(fibers)).to match([be_a(stop), 7])
    expect(pending_after_a_turn).to eq(0)
  end
end
