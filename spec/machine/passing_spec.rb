# frozen_string_literal: true

require_relative "../support/machine_helpers"

# send_fd and recv_fd: descriptors over Unix sockets.
RSpec.describe UM, "passing descriptors" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:buffer) { +"" }
  let(:ends) { socketpair }
  let(:one) { ends.first }
  let(:other) { ends.last }
  let(:path) { file("hello") }
  let(:fd) { keep(machine.open(path, File::RDONLY)) }

  # How many descriptors more there are after the block.
  def opened_by
    ends && fd
    before = Dir.children("/proc/self/fd").size
    yield
    Dir.children("/proc/self/fd").size - before
  end

  # A message with these descriptors beside its byte.
  def send_several(*fds)
    ios = fds.map { |number| as_io(number) }
    as_socket(one).sendmsg("x", 0, nil, Socket::AncillaryData.unix_rights(*ios))
  end

  it "gives the descriptor that was sent, and a new one" do
    expect(machine.send_fd(one, fd)).to eq(fd)
    received = keep(machine.recv_fd(other))
    expect(received).not_to eq(fd)
    machine.read(received, buffer, 10)
    expect(buffer).to eq("hello")
  end

  it "makes descriptors that are closed on exec" do
    machine.send_fd(one, fd)
    expect(as_io(keep(machine.recv_fd(other))).close_on_exec?).to be(true)
  end

  it "waits for a descriptor, and for room to send one" do
    receiver = parked { keep(machine.recv_fd(other)) }
    machine.send_fd(one, fd)
    expect(machine.join(receiver)).to be_an(Integer)
    full, drain = full_socketpair
    sender = parked { machine.send_fd(full, fd) }
    expect(machine.timeout(0.005, :waits) { machine.join(sender) }).to eq(:waits)
    machine.read(drain, buffer, 65_536) until sender.done?
    expect(sender.result).to eq(fd)
  end

  it "passes them on to other processes, and from them" do
    server = as_socket(one)
    pid = fork do
      UNIXSocket.for_fd(other).then { |socket| socket.send_io(socket.recv_io) }
      exit!(0)
    end
    machine.send_fd(server.fileno, fd)
    received = keep(machine.recv_fd(one))
    expect(File.readlink("/proc/self/fd/#{received}")).to eq(path)
    Process.wait(pid)
  end

  it "recv_fd raises EINVAL for a message without a descriptor, and at EOF" do
    machine.write(one, "x")
    expect { machine.recv_fd(other) }.to raise_error(Errno::EINVAL)
    close(one)
    expect { machine.recv_fd(other) }.to raise_error(Errno::EINVAL)
    expect(pending).to eq(0)
  end

  it "recv_fd gives the first of several descriptors and closes the others" do
    more = pipe
    received = nil
    opened = opened_by do
      send_several(fd, *more)
      received = keep(machine.recv_fd(other))
    end
    expect([opened, File.readlink("/proc/self/fd/#{received}")]).to eq([1, path])
  end

  it "recv_fd leaves no descriptor of a message with too many" do
    opened = opened_by do
      send_several(*([fd] * 200))
      machine.close(machine.recv_fd(other))
    end
    expect(opened).to eq(0)
  end

  it "recv_fd finds the descriptor beside other things" do
    as_socket(other).setsockopt(:SOCKET, :PASSCRED, true)
    machine.send_fd(one, fd)
    expect(File.readlink("/proc/self/fd/#{keep(machine.recv_fd(other))}")).to eq(path)
  end

  it "raise EBADF, ENOTSOCK and TypeError" do
    expect { machine.send_fd(-1, fd) }.to raise_error(Errno::EBADF)
    expect { machine.send_fd(one, -1) }.to raise_error(Errno::EBADF)
    expect { machine.recv_fd(-1) }.to raise_error(Errno::EBADF)
    expect { machine.send_fd(fd, fd) }.to raise_error(Errno::ENOTSOCK)
    expect { machine.recv_fd(fd) }.to raise_error(Errno::ENOTSOCK)
    [nil, "1", $stdin].each do |bad|
      expect { machine.send_fd(bad, fd) }.to raise_error(TypeError)
      expect { machine.send_fd(one, bad) }.to raise_error(TypeError)
      expect { machine.recv_fd(bad) }.to raise_error(TypeError)
    end
    expect(pending).to eq(0)
  end

  it "send_fd raises EPIPE, and nobody dies" do
    close(other)
    expect { machine.send_fd(one, fd) }.to raise_error(Errno::EPIPE)
  end

  it "send_fd doesn't send another file that got the number of one that was closed" do
    number = fd
    sender = machine.spin { machine.send_fd(one, number) }
    machine.snooze
    close(number)
    expect(keep(IO.sysopen(File::NULL))).to eq(number)
    machine.join(sender)
    received = machine.timeout(0.005, nil) { machine.recv_fd(other) }
    expect(received.nil? || File.readlink("/proc/self/fd/#{keep(received)}") == path).to be(true)
  end

  it "end with EBADF when their socket is closed" do
    receiver = parked { machine.recv_fd(other) }
    close(other)
    expect(machine.join(receiver)).to be_a(Errno::EBADF)
  end

  it "lose no descriptor that came in when the wait was interrupted" do
    received = []
    race = lambda do |turn|
      machine.send_fd(one, fd) if turn.even?
      receiver = parked { machine.recv_fd(other) }
      send_several(fd) if turn.odd?
      machine.schedule(receiver, stop.new)
      result = machine.join(receiver)
      received << (result.is_a?(Integer) ? result : soon { machine.recv_fd(other) })
    end
    expect(opened_by { 100.times(&race) }).to eq(100)
    expect(received.uniq.size).to eq(100)
    received.each { |one| keep(one) }
  end

  it "survive garbage collection at any moment", :gc do
    2.times do
      receiver = machine.spin { machine.recv_fd(other) }
      machine.snooze
      machine.send_fd(one, one)
      machine.close(machine.join(receiver))
    end
    expect(pending).to eq(0)
  end
end
