# frozen_string_literal: true

require_relative "../support/polyphony"

# What accept_loop hasn't handed out is left to whoever else accepts.
RSpec.describe "accept_loop and those who share its server", :polyphony do
  let!(:server) { TCPServer.new("127.0.0.1", 0).tap { |one| one.listen(64) } }
  let!(:port) { server.local_address.ip_port }

  after { server.close }

  def connect = TCPSocket.new("127.0.0.1", port)

  # What is still to be accepted, by core.
  def rest
    rest = []
    while (socket = server.accept_nonblock(exception: false)) != :wait_readable
      rest << socket
    end
    rest
  end

  ways_out = {
    "break" => -> { server.accept_loop { |socket| break got << socket } },
    "an exception" => lambda {
      begin
        server.accept_loop { |socket| got << socket and raise "failed" }
      rescue RuntimeError
        nil
      end
    },
    "a time limit" => lambda {
      move_on_after(0.01) { server.accept_loop { |socket| got << socket and Polyphony.machine.yield } }
    },
    "terminate" => lambda {
      serving = spin { server.accept_loop { |socket| got << socket and Polyphony.machine.yield } }
      snooze until got.any?
      serving.terminate
      serving.await
    }
  }

  ways_out.each do |name, leave|
    it "cuts no client by #{name}" do
      clients = Array.new(5) { connect }
      got = []
      define_singleton_method(:got) { got }
      instance_exec(&leave)
      sockets = got + rest
      sockets.each { |socket| socket << "welcome" }
      expect(clients.map { |client| client.readpartial(10) }).to eq(["welcome"] * 5)
      [*sockets, *clients].each(&:close)
    end
  end

  it "takes nothing away while its block waits" do
    busy = spin { server.accept_loop { |socket| socket << "busy" and sleep } }
    first = connect
    expect(spin { first.readpartial(10) }.await).to eq("busy")
    idle = spin { server.accept_loop { |socket| socket << "idle" and socket.close } }
    clients = Array.new(20) { connect }
    expect(Fiber.await(clients.map { |client| spin { client.read } }).tally).to eq("idle" => 20)
    [busy, idle].each(&:terminate)
    [first, *clients].each(&:close)
  end

  it "takes nothing away from another process while its block holds up the thread" do
    first = connect
    pid = nil
    answers = server.accept_loop do |socket|
      pid = Polyphony.fork { server.accept_loop { |one| one << "idle" and one.close } }
      # Core's read in a root fiber: nobody else runs here.
      clients = Array.new(20) { connect }
      break clients.map(&:read).tally
    ensure
      socket.close
      clients&.each(&:close)
    end
    expect(answers).to eq("idle" => 20)
    first.close
  ensure
    Process.kill(:KILL, pid)
    Process.wait(pid)
  end

  it "ends nothing for another process when it is closed" do
    pid = Polyphony.fork { server.accept_loop { |socket| socket << "welcome" and socket.close } }
    serving = spin { server.accept_loop { nil } }
    snooze
    server.close
    expect(serving.await).to be_nil
    expect(spin { connect.read }.await).to eq("welcome")
  ensure
    Process.kill(:KILL, pid)
    Process.wait(pid)
  end

  it "frees the port at once when it is closed" do
    serving = spin { server.accept_loop { nil } }
    snooze
    server.close
    TCPServer.new("127.0.0.1", port).close
    expect(serving.await).to be_nil
  end

  it "ends when another thread closes the server" do
    serving = spin { server.accept_loop { nil } }
    snooze
    Thread.new { server.close }.join
    expect(interrupt_after(5) { serving.await }).to be_nil
  end

  it "raises when no client comes in the server's time", :gc do
    server.timeout = 0.01
    client = connect
    count = 0
    expect { server.accept_loop { |socket| socket.close or count += 1 } }.to raise_error(IO::TimeoutError)
    expect(count).to eq(1)
    client.close
  end
end
