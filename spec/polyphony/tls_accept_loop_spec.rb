# frozen_string_literal: true

require "openssl"
require_relative "../support/polyphony"
require_relative "../support/tls"

# Clients that accept_loop has accepted are not cut when it is left.
RSpec.describe "accept_loop of a TLS server that is left", :polyphony do
  let!(:plain) { TCPServer.new("127.0.0.1", 0).tap { |one| one.listen(64) } }
  let!(:server) { OpenSSL::SSL::SSLServer.new(plain, context) }
  let(:context) do
    OpenSSL::SSL::SSLContext.new.tap do |context|
      context.cert = SpecSupport::TLS::CERTIFICATE
      context.key = SpecSupport::TLS::KEY
    end
  end

  after { server.close unless server.closed? }

  def connect = TCPSocket.new("127.0.0.1", plain.local_address.ip_port)

  # A client that shakes hands and reads to the end.
  def client(socket = connect)
    spin do
      ssl = OpenSSL::SSL::SSLSocket.new(socket)
      ssl.sync_close = true
      ssl.connect
      ssl.read.tap { ssl.close }
    end
  end

  def welcome(socket)
    socket << "welcome"
    socket.close
  end

  # Its own loop, until so many were welcomed.
  def welcome_all(count)
    server.accept_loop do |socket|
      welcome(socket)
      break if (count -= 1).zero?
    end
  end

  def soon(&) = interrupt_after(10, &)

  {
    "break" => ->(server) { server.accept_loop { |socket| break socket } },
    "an exception" => lambda { |server|
      socket = nil
      begin
        server.accept_loop { |one| (socket = one) && raise("failed") }
      rescue RuntimeError
        socket
      end
    },
    "terminate" => lambda { |server|
      socket = nil
      serving = spin { server.accept_loop { |one| (socket = one) && Polyphony.machine.yield } }
      snooze until socket
      serving.terminate
      serving.await
      socket
    }
  }.each do |name, leave|
    it "by #{name} cuts nobody" do
      clients = Array.new(20) { client }
      welcome(soon { instance_exec(server, &leave) })
      soon { welcome_all(19) }
      expect(soon { Fiber.await(clients) }.tally).to eq("welcome" => 20)
    end
  end

  it "cuts nobody, however often and whenever it is interrupted" do
    clients = Array.new(40) { client }
    count = 0
    serve = lambda do |socket|
      count += 1
      welcome(socket)
    end
    (1..).each do |turn|
      break if count == 40 || turn > 5000

      serving = spin { server.accept_loop(&serve) }
      (turn % 7).times { snooze }
      Polyphony.machine.sleep(0.0001) if turn % 3 == 0
      serving.terminate
      serving.await
    end
    expect(soon { Fiber.await(clients) }.tally).to eq("welcome" => 40)
  end

  it "leaves clients to accept: those that have shaken hands, and one in the middle of it" do
    clients = Array.new(3) { client }
    slow = connect
    snooze
    welcome(soon { server.accept_loop { |socket| break socket } })
    clients << client(slow)
    sockets = Array.new(3) { spin { server.accept } }
    soon { Fiber.await(sockets) }.each { |socket| welcome(socket) }
    expect(soon { Fiber.await(clients) }.tally).to eq("welcome" => 4)
  end

  it "leaves its connections to those who wait in another loop" do
    clients = Array.new(5) { client }
    welcome(soon { server.accept_loop { |socket| break socket } })
    other = spin { server.accept_loop { |socket| welcome(socket) } }
    expect(soon { Fiber.await(clients) }.tally).to eq("welcome" => 5)
    server.close
    expect(soon { other.await }).to be_nil
  end

  it "has what it leaves closed with the server" do
    silent = Array.new(3) { connect }
    expect { interrupt_after(0.01) { server.accept_loop { nil } } }
      .to raise_error(SpecSupport::InPolyphony::Interrupted)
    server.close
    expect(soon { silent.map { |socket| spin { socket.read }.await } }).to eq([""] * 3)
    silent.each(&:close)
  end

  it "accepts nothing while its block runs" do
    first = client
    snooze
    serving = spin { server.accept_loop { |socket| welcome(socket) && Polyphony.machine.yield } }
    expect(soon { first.await }).to eq("welcome")
    others = Array.new(20) { connect }
    10.times { snooze }
    left = 0
    left += 1 while (one = plain.accept_nonblock(exception: false)) != :wait_readable && one.close.nil?
    expect(left).to eq(20)
    others.each(&:close)
    serving.terminate
    serving.await
  end

  it "serves while more clients than it shakes hands with at a time say nothing" do
    silent = Array.new(60) { connect }
    serving = spin { server.accept_loop { |socket| welcome(socket) } }
    expect(soon { client.await }).to eq("welcome")
    server.close
    soon { serving.await }
    silent.each(&:close)
  end

  it "raises when no client comes in its socket's time" do
    plain.timeout = 0.01
    expect { soon { server.accept_loop { nil } } }.to raise_error(IO::TimeoutError)
  end

  it "raises for a server that is closed" do
    server.close
    expect { server.accept_loop { nil } }.to raise_error(IOError)
  end
end
