# frozen_string_literal: true

require "fileutils"
require "socket"
require "timeout"
require "tmpdir"

module SpecSupport
  # For specs of the machine: one `machine` for each example, and descriptors to play with. After
  # the example its fibers are ended and its descriptors closed, and no op may be left.
  module MachineHelpers
    # Ends whatever waits.
    class Stop < StandardError; end

    PIPE_SIZE = 65_536
    POLLIN = 1
    POLLOUT = 4
    POLLHUP = 16

    def self.included(group)
      group.let(:machine) { UM.new }
      group.after { wind_up }
    end

    # `[read_fd, write_fd]`
    def pipe = UM.pipe.each { |fd| descriptors << fd }

    def full_pipe
      pipe.tap { |_reader, writer| machine.write(writer, "x" * PIPE_SIZE) }
    end

    def socketpair(type = Socket::SOCK_STREAM)
      UM.socketpair(Socket::AF_UNIX, type, 0).each { |fd| descriptors << fd }
    end

    # A pair whose first socket takes no more bytes.
    def full_socketpair
      socketpair.tap do |fd, _other|
        socket = as_socket(fd)
        nil until socket.sendmsg_nonblock("x" * 65_536, exception: false) == :wait_writable
      end
    end

    # `[fd, port]` of a socket that listens on the loopback interface.
    def listener(backlog = 16)
      fd = keep(machine.socket(Socket::AF_INET, Socket::SOCK_STREAM, 0, 0))
      machine.bind(fd, "127.0.0.1", 0)
      machine.listen(fd, backlog)
      [fd, as_socket(fd).local_address.ip_port]
    end

    # The port of a listener that answers no more connections.
    def full_listener
      listener(0).last.tap { |port| nil while connected?(port) }
    end

    def connected?(port)
      socket = Socket.new(:INET, :STREAM)
      socket.autoclose = false
      keep(socket.fileno)
      socket.connect_nonblock(Addrinfo.tcp("127.0.0.1", port), exception: false)
      !socket.wait_writable(0.05).nil?
    end

    # The fd of a client that is connected to the port.
    def client(port)
      socket = Socket.tcp("127.0.0.1", port)
      socket.autoclose = false
      keep(socket.fileno)
    end

    def fifo
      @folder ||= Dir.mktmpdir("polyphony-spec")
      File.join(@folder, "fifo").tap { |path| File.mkfifo(path) unless File.exist?(path) }
    end

    # The path of a file with that content.
    def file(content = "")
      @folder ||= Dir.mktmpdir("polyphony-spec")
      path = File.join(@folder, "file#{descriptors.size}")
      File.binwrite(path, content)
      path
    end

    def keep(fd)
      descriptors << fd
      fd
    end

    # Closes a descriptor of the example by the machine.
    def close(fd)
      descriptors.delete(fd)
      machine.close(fd)
    end

    # An IO for the descriptor that leaves closing to us.
    def as_io(fd, mode = nil) = IO.for_fd(fd, *mode, autoclose: false)

    def as_socket(fd) = Socket.for_fd(fd).tap { |socket| socket.autoclose = false }

    # A fiber that waits in the block, and the kernel has its op.
    def parked(&)
      fiber = machine.spin(&)
      machine.snooze
      machine.submit
      fiber
    end

    def snooze(times = 3) = times.times { machine.snooze }

    def pending = machine.metrics[:ops_pending]

    # The same once the machine has looked at its completions: timers that were given up count as
    # pending until then.
    def pending_after_a_turn
      machine.test_mode = true
      machine.snooze
      pending
    end

    def total_ops = machine.metrics[:total_ops]

    # Lets the others run until no op is pending, but not for ever.
    def settle
      snooze
      500.times { pending.zero? ? break : machine.sleep(0.002) }
    end

    # Fails instead of hanging.
    def soon(seconds = 10, &) = machine.timeout(seconds, Timeout::Error, &)

    # What the block raises.
    def error_of
      yield
      nil
    rescue StandardError => e
      e
    end

    def descriptors = @descriptors ||= []

    def wind_up
      5.times do
        machine.terminate(machine.fiber_set)
        settle
        break if machine.fiber_set.empty? && pending.zero?
      end
      expect([machine.fiber_set.size, pending]).to eq([0, 0]), "fibers or ops were left"
    ensure
      descriptors.each { |fd| IO.for_fd(fd).close }
      FileUtils.remove_entry(@folder) if @folder
    end
  end
end
