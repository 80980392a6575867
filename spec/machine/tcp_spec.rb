# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "TCP by host and port" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:buffer) { +"" }

  def listen(host = "127.0.0.1", port = 0) = keep(machine.tcp_listen(host, port))

  def connect(...) = keep(machine.tcp_connect(...))

  def port_of(fd) = as_socket(fd).local_address.ip_port

  def descriptor_count = Dir.children("/proc/self/fd").size

  # What the block raises, provided that it leaves no descriptor behind.
  def clean_error
    machine
    before = descriptor_count
    error = begin
      yield
      nil
    rescue Exception => e # rubocop:disable Lint/RescueException
      e
    end
    expect(descriptor_count).to eq(before)
    error
  end

  describe "#tcp_listen and #tcp_connect" do
    it "make a connection", :gc do
      server = listen
      client = connect("127.0.0.1", port_of(server))
      machine.send(client, "hello", -1, 0)
      expect([machine.recv(keep(machine.accept(server)), buffer, 100, 0), buffer]).to eq([5, "hello"])
    end

    it "look names up", :gc do
      server = listen("localhost")
      client = connect("localhost", port_of(server))
      addresses = [as_socket(client).remote_address, as_socket(server).local_address].map(&:ip_unpack)
      expect(addresses.uniq.size).to eq(1)
    end

    it "take IPv6 addresses" do
      skip "no IPv6 on this machine" unless Socket.ip_address_list.any?(&:ipv6_loopback?)
      client = connect("::1", port_of(listen("::1")))
      expect(as_socket(client).remote_address.ip_address).to eq("::1")
    end

    it "make descriptors that are closed on exec" do
      server = listen
      fds = [server, connect("127.0.0.1", port_of(server))]
      expect(fds.map { |fd| as_io(fd).close_on_exec? }).to eq([true, true])
    end

    it "refuse what is no host or port" do
      %i[tcp_listen tcp_connect].each do |method|
        expect(clean_error { machine.public_send(method, 1, 80) }).to be_a(TypeError)
        expect(clean_error { machine.public_send(method, nil, 80) }).to be_a(TypeError)
        expect(clean_error { machine.public_send(method, "127.0.0.1", "80") }).to be_a(TypeError)
        expect(clean_error { machine.public_send(method, "127.0.0.1", :http) }).to be_a(TypeError)
        expect(clean_error { machine.public_send(method, "127.0.0.1", 65_536) }).to be_a(ArgumentError)
        expect(clean_error { machine.public_send(method, "127.0.0.1", -1) }).to be_a(ArgumentError)
      end
      expect(total_ops).to eq(0)
    end

    it "say which host has no address" do
      %i[tcp_listen tcp_connect].each do |method|
        error = clean_error { machine.public_send(method, "no-such-host.invalid", 80) }
        expect([error.class, error.message]).to match([UM::Error, /no-such-host\.invalid/])
      end
    end
  end

  describe "#tcp_listen" do
    it "takes a port again at once" do
      server = listen
      port = port_of(server)
      client = connect("127.0.0.1", port)
      # Closed by us first, the connection stays in TIME_WAIT.
      close(keep(machine.accept(server)))
      machine.recv(client, buffer, 1, 0)
      [client, server].each { |fd| close(fd) }
      expect(port_of(listen("127.0.0.1", port))).to eq(port)
    end

    it "has a backlog of SOMAXCONN" do
      port = port_of(listen)
      line = IO.popen(["ss", "-ltnH", "sport = :#{port}"], &:read)
      limit = [Integer(File.read("/proc/sys/net/core/somaxconn")), UM::SOMAXCONN].min
      expect(line.split[2]).to eq(limit.to_s)
    rescue Errno::ENOENT
      skip "no ss on this machine"
    end

    it "raises EADDRINUSE and EADDRNOTAVAIL" do
      port = port_of(listen)
      expect(clean_error { machine.tcp_listen("127.0.0.1", port) }).to be_a(Errno::EADDRINUSE)
      expect(clean_error { machine.tcp_listen("192.0.2.1", 0) }).to be_a(Errno::EADDRNOTAVAIL)
    end
  end

  describe "#tcp_connect" do
    it "raises ECONNREFUSED where nobody listens" do
      port = port_of(server = listen)
      close(server)
      expect(clean_error { machine.tcp_connect("127.0.0.1", port) }).to be_a(Errno::ECONNREFUSED)
      expect(pending).to eq(0)
    end

    it "is interrupted by a timeout", :gc do
      port = full_listener
      error = clean_error { machine.timeout(0.01, stop) { machine.tcp_connect("127.0.0.1", port) } }
      expect([error.class, pending]).to eq([stop, 0])
    end

    it "is interrupted by an exception, also while it looks the name up" do
      port = full_listener
      %w[127.0.0.1 localhost].each do |host|
        error = clean_error do
          fiber = parked { machine.tcp_connect(host, port) }
          machine.schedule(fiber, stop.new)
          raise machine.join(fiber)
        end
        expect([error.class, pending]).to eq([stop, 0])
      end
    end

    it "returns the value that its fiber is scheduled with" do
      port = full_listener
      before = descriptor_count
      values = %w[127.0.0.1 localhost].map do |host|
        fiber = parked { machine.tcp_connect(host, port) }
        machine.schedule(fiber, :value)
        soon { machine.join(fiber) }
      end
      expect(values).to eq(%i[value value])
      # The lookup may still be under way on its thread, with a descriptor of its own.
      soon { machine.sleep(0.001) until descriptor_count == before }
    end

    it "connects a hundred fibers at once" do
      port = port_of(server = listen)
      machine.spin { machine.accept_each(server) { |fd| keep(fd) && machine.send(fd, "x", -1, 0) } }
      answers = Array.new(100) { machine.spin { machine.recv(connect("localhost", port), +"", 10, 0) } }
      expect(soon { machine.join(answers) }).to eq([1] * 100)
    end
  end

  # In a name space of its own, where a host has two addresses.
  describe "with a host of several addresses" do
    def in_own_hosts(source)
      hosts = file("127.0.0.1 localhost\n127.0.0.1 twofold\n127.0.0.2 twofold\n")
      skip "no name spaces on this machine" unless system("unshare", "-rm", "true", err: File::NULL)
      ruby_program(<<~RUBY)
        unless ARGV.any?
          mount = "mount --bind #{hosts} /etc/hosts && exec \\"$@\\""
          exec("unshare", "-rm", "sh", "-c", mount, "sh", "#{RbConfig.ruby}", "-I", "#{SpecSupport::Subprocess::LIB}", __FILE__, "there")
        end
        require "uringmachine"
        require "socket"
        machine = UM.new
        first, second = machine.resolve("twofold")
        port_of = ->(fd) { Socket.for_fd(fd).tap { |socket| socket.autoclose = false }.local_address.ip_port }
        #{source}
      RUBY
    end

    it "goes on to the next one, and raises the last one's error" do
      outcome = in_own_hosts(<<~RUBY)
        server = machine.tcp_listen(second, 0)
        port = port_of.(server)
        client = machine.tcp_connect("twofold", port)
        puts Socket.for_fd(client).remote_address.ip_address == second
        machine.close(server)
        before = Dir.children("/proc/self/fd").size
        machine.tcp_connect("twofold", port) rescue p $!.class
        puts Dir.children("/proc/self/fd").size == before
      RUBY
      expect([outcome.stdout, outcome.stderr]).to eq(["true\nErrno::ECONNREFUSED\ntrue\n", ""])
    end

    it "listens on the first one that can be had" do
      outcome = in_own_hosts(<<~RUBY)
        port = port_of.(machine.tcp_listen(first, 0))
        fd = machine.tcp_listen("twofold", port)
        puts Socket.for_fd(fd).local_address.ip_address == second
      RUBY
      expect([outcome.stdout, outcome.stderr]).to eq(["true\n", ""])
    end
  end
end
