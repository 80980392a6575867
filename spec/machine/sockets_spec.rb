# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "sockets" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:buffer) { +"" }

  def tcp_socket = keep(machine.socket(Socket::AF_INET, Socket::SOCK_STREAM, 0, 0))

  # A connected pair over TCP.
  def tcp_pair
    fd, port = listener
    one = tcp_socket
    fiber = machine.spin { keep(machine.accept(fd)) }
    machine.connect(one, "127.0.0.1", port)
    [one, machine.join(fiber)]
  end

  describe "#socket, #bind, #listen and #connect" do
    it "make a server and a client" do
      one, other = tcp_pair
      machine.send(one, "hello", -1, 0)
      expect([machine.recv(other, buffer, 100, 0), buffer]).to eq([5, "hello"])
    end

    it "return what the kernel does" do
      fd, port = listener
      expect([machine.listen(fd, 10), machine.connect(tcp_socket, "127.0.0.1", port)]).to eq([0, 0])
    end

    it "take IPv6 addresses" do
      fd = keep(machine.socket(Socket::AF_INET6, Socket::SOCK_STREAM, 0, 0))
      expect(machine.bind(fd, "::1", 0)).to eq(0)
    rescue Errno::EADDRNOTAVAIL, Errno::EAFNOSUPPORT
      skip "no IPv6 on this machine"
    end

    it "socket takes flags" do
      fd = keep(machine.socket(Socket::AF_INET, Socket::SOCK_STREAM, 0, Socket::SOCK_NONBLOCK))
      expect([as_io(fd).nonblock?, as_io(fd).close_on_exec?]).to eq([true, true])
    end

    it "socket raises what the kernel says" do
      expect { machine.socket(-1, Socket::SOCK_STREAM, 0, 0) }.to raise_error(SystemCallError)
    end

    it "connect raises ECONNREFUSED where nobody listens" do
      fd, port = listener
      close(fd)
      expect { machine.connect(tcp_socket, "127.0.0.1", port) }.to raise_error(Errno::ECONNREFUSED)
      expect(pending).to eq(0)
    end

    it "bind raises EADDRINUSE" do
      _, port = listener
      expect { machine.bind(tcp_socket, "127.0.0.1", port) }.to raise_error(Errno::EADDRINUSE)
    end

    it "raise ENOTSOCK for a pipe" do
      fd, = pipe
      expect { machine.bind(fd, "127.0.0.1", 0) }.to raise_error(Errno::ENOTSOCK)
      expect { machine.listen(fd, 1) }.to raise_error(Errno::ENOTSOCK)
      expect { machine.connect(fd, "127.0.0.1", 1) }.to raise_error(Errno::ENOTSOCK)
      expect { machine.accept(fd) }.to raise_error(Errno::ENOTSOCK)
      expect { machine.recv(fd, buffer, 1, 0) }.to raise_error(Errno::ENOTSOCK)
      expect { machine.send(fd, "x", -1, 0) }.to raise_error(Errno::ENOTSOCK)
      expect { machine.shutdown(fd, Socket::SHUT_RD) }.to raise_error(Errno::ENOTSOCK)
      expect(pending).to eq(0)
    end
  end

  describe "#accept" do
    it "takes a connection that waits already" do
      fd, port = listener
      client(port)
      expect(keep(machine.accept(fd))).to be_an(Integer)
    end

    it "works on a non-blocking listener, such as a TCPServer" do
      server = TCPServer.new("127.0.0.1", 0)
      fiber = parked { keep(machine.accept(server.fileno)) }
      client(server.addr[1])
      expect(machine.join(fiber)).to be_an(Integer)
    ensure
      server.close
    end

    it "serves waiting fibers in order" do
      fd, port = listener
      log = []
      fibers = Array.new(3) { |number| parked { keep(machine.accept(fd)) && (log << number) } }
      3.times do |number|
        client(port)
        soon { machine.join(fibers[number]) }
      end
      expect(log).to eq([0, 1, 2])
    end

    it "makes descriptors that are closed on exec" do
      expect(as_io(tcp_pair.last).close_on_exec?).to be(true)
    end
  end

  describe "#accept_into_queue" do
    it "pushes each connection until the socket is shut down" do
      fd, port = listener
      queue = UM::Queue.new
      fiber = parked { machine.accept_into_queue(fd, queue) }
      3.times { client(port) }
      accepted = soon { Array.new(3) { keep(machine.shift(queue)) } }
      machine.shutdown(fd, Socket::SHUT_RD)
      expect([accepted.uniq.size, soon { machine.join(fiber) }, pending_after_a_turn]).to eq([3, nil, 0])
    end

    it "refuses what is no queue, and raises the kernel's errors" do
      fd, = listener
      expect { machine.accept_into_queue(fd, Thread::Queue.new) }.to raise_error(TypeError)
      expect { machine.accept_into_queue(pipe.first, UM::Queue.new) }.to raise_error(Errno::ENOTSOCK)
      expect(pending).to eq(0)
    end
  end

  describe "#accept_each" do
    it "goes on after a stray wake" do
      fd, port = listener
      queue = UM::Queue.new
      fiber = parked { machine.accept_each(fd) { |one| machine.push(queue, keep(one)) } }
      accepted = Array.new(3) do
        machine.schedule(fiber, 7)
        machine.snooze
        client(port)
        soon { machine.shift(queue) }
      end
      expect([accepted.uniq.size, fiber.done?]).to eq([3, nil])
    end

    it "ends by a timeout's value" do
      fd, = listener
      expect(machine.timeout(0.001, :over) { machine.accept_each(fd) { nil } }).to eq(:over)
    end

    it "yields each connection once, and ends with nil at shutdown" do
      fd, port = listener(128)
      accepted = []
      fiber = machine.spin { machine.accept_each(fd) { |one| accepted << keep(one) } }
      clients = Array.new(50) { tcp_socket.tap { |one| machine.connect(one, "127.0.0.1", port) } }
      clients.each { |one| machine.send(one, "x", -1, 0) }
      machine.sleep(0.001) until accepted.size == 50
      machine.shutdown(fd, Socket::SHUT_RDWR)
      expect(soon { machine.join(fiber) }).to be_nil
      expect(accepted.uniq.size).to eq(50)
      expect(accepted.map { |one| machine.recv(one, buffer, 10, 0) }).to eq([1] * 50)
    end

    it "hands out connections that came while its block waited" do
      fd, port = listener
      accepted = 0
      handle = ->(one) { keep(one) && machine.sleep(0.001) && accepted += 1 }
      fiber = machine.spin { machine.accept_each(fd, &handle) }
      10.times { client(port) }
      soon { machine.sleep(0.001) until accepted == 10 }
      expect(fiber.done?).to be_nil
    end

    it "is left by break" do
      fd, port = listener
      client(port)
      expect(machine.accept_each(fd) { |one| break keep(one) }).to be_an(Integer)
      settle
      expect(pending).to eq(0)
    end

    it "is left by its block's exception" do
      fd, port = listener
      client(port)
      expect { machine.accept_each(fd) { |one| keep(one) && raise(stop) } }.to raise_error(stop)
      settle
      expect(pending).to eq(0)
    end

    it "raises EINVAL where the socket doesn't listen" do
      fd = tcp_socket
      expect { machine.accept_each(fd) { nil } }.to raise_error(Errno::EINVAL)
      expect { machine.accept_into_queue(fd, UM::Queue.new) }.to raise_error(Errno::EINVAL)
      machine.bind(fd, "127.0.0.1", 0)
      expect { machine.accept_each(fd) { nil } }.to raise_error(Errno::EINVAL)
      expect { machine.accept_each(socketpair.first) { nil } }.to raise_error(Errno::EINVAL)
      expect(pending).to eq(0)
    end

    it "ends with nil when the socket is shut down before the kernel has the operation" do
      fd, = listener
      fiber = machine.spin { machine.accept_each(fd) { nil } }
      machine.snooze
      machine.shutdown(fd, Socket::SHUT_RDWR)
      expect(soon { machine.join(fiber) }).to be_nil
    end

    it "raises ENOTSOCK and EBADF" do
      expect { machine.accept_each(pipe.first) { nil } }.to raise_error(Errno::ENOTSOCK)
      expect { machine.accept_each(-1) { nil } }.to raise_error(Errno::EBADF)
      expect(pending).to eq(0)
    end
  end

  describe "#recv and #send" do
    it "gives 0 at EOF and leaves the String as it was" do
      one, other = socketpair
      machine.shutdown(other, Socket::SHUT_WR)
      buffer << "before"
      expect([machine.recv(one, buffer, 100, 0), buffer]).to eq([0, "before"])
    end

    it "takes flags" do
      one, other = socketpair
      machine.send(other, "hello", -1, 0)
      expect(machine.recv(one, buffer, 3, Socket::MSG_PEEK)).to eq(3)
      expect([machine.recv(one, buffer, 100, 0), buffer]).to eq([5, "hello"])
    end

    it "waits for all bytes with MSG_WAITALL" do
      one, other = socketpair
      fiber = parked { machine.recv(one, buffer, 10, Socket::MSG_WAITALL) }
      2.times { machine.send(other, "01234", -1, 0) && snooze }
      expect([machine.join(fiber), buffer]).to eq([10, "0123401234"])
    end

    it "gives a datagram's whole length with MSG_TRUNC, and no byte that was not received" do
      one, other = socketpair(Socket::SOCK_DGRAM)
      machine.send(other, "x" * 1000, -1, 0)
      buffer = +"0123456789"
      expect([machine.recv(one, buffer, 10, Socket::MSG_TRUNC), buffer]).to eq([1000, "x" * 10])
      _, port = server = listener
      stream = client(port)
      accepted = keep(machine.accept(server.first))
      machine.send(accepted, "y" * 100, -1, 0)
      expect([machine.recv(stream, buffer, 10, Socket::MSG_TRUNC), buffer]).to eq([10, "\0" * 10])
    end

    it "doesn't wait with MSG_DONTWAIT" do
      one, = socketpair
      expect { machine.recv(one, buffer, 10, Socket::MSG_DONTWAIT) }.to raise_error(Errno::EAGAIN)
    end

    it "sends as many bytes as asked for, -1 meaning all" do
      one, other = socketpair
      expect([machine.send(one, "hello", 2, 0), machine.send(one, "hello", -1, 0)]).to eq([2, 5])
      machine.recv(other, buffer, 100, 0)
      expect(buffer).to eq("hehello")
    end

    it "sends and receives IO::Buffers" do
      one, other = socketpair
      memory = IO::Buffer.new(8)
      machine.send(one, IO::Buffer.for("hello"), -1, 0)
      expect([machine.recv(other, memory, 8, 0), memory.get_string(0, 5)]).to eq([5, "hello"])
    end

    it "keeps datagrams apart, also empty ones" do
      one, other = socketpair(Socket::SOCK_DGRAM)
      ["one", "", "two"].each { |message| machine.send(one, message, -1, 0) }
      expect(Array.new(3) { machine.recv(other, buffer, 100, 0) }).to eq([3, 0, 3])
    end

    it "raises EPIPE, and nobody dies" do
      one, other = socketpair
      close(other)
      expect { machine.send(one, "x", -1, 0) }.to raise_error(Errno::EPIPE)
    end

    it "raises ECONNRESET when the peer has reset the connection" do
      one, other = tcp_pair
      as_socket(other).setsockopt(:SOCKET, :LINGER, [1, 0].pack("ii"))
      fiber = parked { machine.recv(one, buffer, 100, 0) }
      close(other)
      expect(machine.join(fiber)).to be_a(Errno::ECONNRESET)
    end

    it "moves a megabyte in both directions at once" do
      data = Random.new(2).bytes(1_000_000)
      ends = tcp_pair
      senders = ends.map do |fd|
        machine.spin do
          sent = 0
          sent += machine.send(fd, data.byteslice(sent..), -1, 0) while sent < data.bytesize
          machine.shutdown(fd, Socket::SHUT_WR)
        end
      end
      receivers = ends.map do |fd|
        machine.spin { (+"".b).tap { |all| nil until machine.read(fd, all, 65_536, -1).zero? } }
      end
      expect(machine.join(receivers).map { |all| all == data }).to eq([true, true])
      expect(machine.join(senders)).to eq([0, 0])
    end
  end

  describe "#shutdown" do
    it "returns 0" do
      expect(machine.shutdown(socketpair.first, Socket::SHUT_WR)).to eq(0)
    end

    it "ends a recv of this side" do
      one, = socketpair
      fiber = parked { machine.recv(one, buffer, 10, 0) }
      machine.shutdown(one, Socket::SHUT_RD)
      expect(machine.join(fiber)).to eq(0)
    end

    it "raises EINVAL and EBADF" do
      expect { machine.shutdown(socketpair.first, 17) }.to raise_error(Errno::EINVAL)
      expect { machine.shutdown(-1, 0) }.to raise_error(Errno::EBADF)
    end
  end

  it "serves a hundred clients of an echo server at once" do
    fd, port = listener(128)
    machine.spin do
      machine.accept_each(fd) do |one|
        keep(one)
        machine.spin do
          text = +""
          machine.send(one, text, -1, 0) until machine.recv(one, text, 1000, 0).zero?
        end
      end
    end
    clients = Array.new(100) do |number|
      machine.spin do
        own = tcp_socket
        machine.connect(own, "127.0.0.1", port)
        answers = Array.new(5) do |turn|
          machine.send(own, "#{number}/#{turn}", -1, 0)
          (+"").tap { |text| machine.recv(own, text, 1000, 0) }
        end
        answers == Array.new(5) { |turn| "#{number}/#{turn}" }
      end
    end
    expect(machine.join(clients)).to all(be(true))
  end
end
