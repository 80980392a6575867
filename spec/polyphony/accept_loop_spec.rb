# frozen_string_literal: true

require "tmpdir"
require_relative "../support/polyphony"

RSpec.describe "accept_loop", :polyphony do
  def with_unix_server
    Dir.mktmpdir do |folder|
      path = File.join(folder, "socket")
      UNIXServer.open(path) { |server| yield server, path }
    end
  end

  # The loop in a fiber of its own: each client gets its greeting.
  def greeting(server)
    spin do
      server.accept_loop do |connection|
        connection << "welcome"
        connection.close
      end
    end
  end

  def terminate(fiber)
    fiber.terminate
    fiber.await
  end

  let(:server) { TCPServer.new("127.0.0.1", 0) }
  let(:port) { server.local_address.ip_port }

  def connect = TCPSocket.new("127.0.0.1", port)

  # Reads to the end, in a fiber.
  def answer(socket) = spin { socket.read }.await

  it "yields the connections of a TCPServer" do
    serving = greeting(server)
    expect(Array.new(3) { answer(connect) }).to eq(["welcome"] * 3)
    terminate(serving)
  end

  it "yields sockets as accept gives them" do
    connecting = spin { connect }
    connection = nil
    server.accept_loop do |socket|
      connection = socket
      break
    end
    client = connecting.await
    expect(connection).to be_an_instance_of(TCPSocket)
    expect(connection.remote_address.ip_port).to eq(client.local_address.ip_port)
    expect(connection).to be_close_on_exec
    expect(connection.sync).to be(true)
  end

  it "yields the connections of a UNIXServer" do
    with_unix_server do |server, path|
      serving = greeting(server)
      expect(answer(UNIXSocket.new(path))).to eq("welcome")
      terminate(serving)
    end
  end

  it "yields UNIXSockets" do
    with_unix_server do |server, path|
      spin { UNIXSocket.new(path) }
      kind = server.accept_loop { |socket| break socket.class }
      expect(kind).to be(UNIXSocket)
    end
  end

  it "yields the connections of a Socket" do
    socket = Socket.new(:INET, :STREAM)
    socket.bind(Addrinfo.tcp("127.0.0.1", 0))
    socket.listen(5)
    client = spin { TCPSocket.new("127.0.0.1", socket.local_address.ip_port) }
    kind = socket.accept_loop { |connection| break connection.class }
    expect(kind).to be(Socket)
    client.await
  end

  it "works in the root fiber, while others run" do
    clients = Array.new(3) { spin { connect.read } }
    count = 0
    server.accept_loop do |connection|
      connection << "welcome"
      connection.close
      break if (count += 1) == 3
    end
    expect(Fiber.await(clients)).to eq(["welcome"] * 3)
  end

  it "accepts 200 clients that come at once" do
    serving = greeting(server)
    clients = Array.new(200) { spin { connect.read } }
    expect(Fiber.await(clients).tally).to eq("welcome" => 200)
    terminate(serving)
  end

  it "returns the value of break, and accepts no more" do
    spin { connect.write("x") }
    expect(server.accept_loop { |_| break :left }).to eq(:left)
    later = spin { connect }
    expect(spin { server.accept }.await).to be_a(TCPSocket)
    later.await
  end

  it "raises what the block raises, and accepts no more" do
    connecting = spin { connect }
    expect { server.accept_loop { raise "failed" } }.to raise_error("failed")
    connecting.await
    connecting = spin { connect }
    expect(spin { server.accept }.await).to be_a(TCPSocket)
    connecting.await
  end

  it "ends a fiber that is terminated, and leaves the server open" do
    serving = greeting(server)
    answer(connect)
    terminate(serving)
    connecting = spin { connect }
    expect(spin { server.accept }.await).to be_a(TCPSocket)
    connecting.await
  end

  it "raises when interrupted" do
    interrupted = SpecSupport::InPolyphony::Interrupted
    expect { interrupt_after(0.01) { server.accept_loop { nil } } }.to raise_error(interrupted)
  end

  it "returns nil when the server is shut down" do
    serving = greeting(server)
    snooze
    server.shutdown
    expect(serving.await).to be_nil
  end

  it "returns nil when a UNIXServer is shut down" do
    with_unix_server do |unix, path|
      serving = greeting(unix)
      expect(answer(UNIXSocket.new(path))).to eq("welcome")
      unix.shutdown
      expect(interrupt_after(5) { serving.await }).to be_nil
    end
  end

  it "ends when the server is closed by another fiber" do
    serving = greeting(server)
    answer(connect)
    server.close
    expect(interrupt_after(5) { serving.await }).to be_nil
    expect { connect }.to raise_error(Errno::ECONNREFUSED)
  end

  it "ends when the server is closed in its own block" do
    connecting = spin { connect }
    expect(interrupt_after(5) { server.accept_loop { server.close } }).to be_nil
    connecting.await
  end

  it "loses no connection that came before it was called" do
    clients = Array.new(5) { connect }
    serving = greeting(server)
    expect(clients.map { |client| answer(client) }).to eq(["welcome"] * 5)
    terminate(serving)
  end

  it "goes on when a plain value is scheduled" do
    serving = greeting(server)
    snooze
    Polyphony.machine.schedule(serving, 7)
    snooze
    expect(answer(connect)).to eq("welcome")
    terminate(serving)
  end

  it "raises for a server that is closed" do
    server.close
    expect { server.accept_loop { nil } }.to raise_error(IOError)
  end

  it "raises without a block" do
    expect { server.accept_loop }.to raise_error(ArgumentError)
  end

  it "accepts with the collector at work", :gc do
    with_unix_server do |server, path|
      client = spin { UNIXSocket.new(path).read }
      server.accept_loop do |connection|
        connection.close
        break
      end
      expect(client.await).to eq("")
    end
  end
end
