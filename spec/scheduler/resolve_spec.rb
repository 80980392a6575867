# frozen_string_literal: true

require "socket"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: names of hosts" do
  def addresses(...) = Addrinfo.getaddrinfo(...).map(&:ip_address).uniq

  it "finds localhost" do
    expect(in_fiber { addresses("localhost", 80) }).to include("127.0.0.1").or include("::1")
  end

  it "finds the names of /etc/hosts as a blocking lookup does" do
    lines = File.readlines("/etc/hosts").map { |line| line.sub(/#.*/, "").split }
    names = lines.flat_map { |line| line.drop(1) }.uniq.first(5)
    blocking = names.map { |name| addresses(name, 80).sort }
    expect(in_fiber { names.map { |name| addresses(name, 80).sort } }).to eq(blocking)
    expect(blocking).not_to be_empty
  end

  it "raises Socket::ResolutionError for an unknown name" do
    errors = in_fiber do
      name = "no-such-host.invalid"
      [-> { addresses(name, 80) }, -> { TCPSocket.new(name, 80) }, -> { Socket.tcp(name, 80) }]
        .map { |lookup| error_of(&lookup) }
    end
    expect(errors).to all(be_a(Socket::ResolutionError))
  end

  it "respects the family" do
    expect(in_fiber { addresses("localhost", 80, :INET) }).to eq(["127.0.0.1"])
  end

  it "does not ask for what is numeric" do
    hooks = hooks_of { [addresses("127.0.0.1", 80), addresses("::1", 80), addresses(nil, 80)] }
    expect(hooks).to eq([])
  end

  it "serves Socket.getaddrinfo, IPSocket.getaddress and TCPSocket.gethostbyname" do
    results = in_fiber do
      [IPSocket.getaddress("localhost"), Socket.getaddrinfo("localhost", 80, :INET).first[3],
       Addrinfo.tcp("localhost", 80).ip_address]
    end
    expect(%w[127.0.0.1 ::1]).to include(results[0], results[2])
    expect(results[1]).to eq("127.0.0.1")
  end

  it "connects by name" do
    server = TCPServer.new("127.0.0.1", 0)
    port = server.local_address.ip_port
    text, = in_fibers(
      -> { TCPSocket.open("localhost", port, &:read) },
      -> { server.accept.tap { |peer| peer << "x" }.close }
    )
    server.close
    expect(text).to eq("x")
  end

  it "looks up in many fibers at a time" do
    found = in_fibers(Array.new(30) { -> { addresses("localhost", 80, :INET) } })
    expect(found).to eq([["127.0.0.1"]] * 30)
  end

  it "gives strings, none for an unknown name, when called directly" do
    found = in_fiber { %w[localhost no-such.invalid].map { |name| Fiber.scheduler.address_resolve(name) } }
    expect(found.first).to include("127.0.0.1").or include("::1")
    expect([nil, []]).to include(found.last)
  end

  it "is not asked for the scope of a link-local address" do
    found = in_fiber { error_of { addresses("fe80::1%lo", 80) } || :found }
    expect(found).to eq(:found).or be_a(Socket::ResolutionError)
  end

  it "refuses what is no name" do
    errors = in_fiber { [1, nil].map { |name| error_of { Fiber.scheduler.address_resolve(name) }.class } }
    expect(errors).to eq([TypeError, TypeError])
  end

  it "can be left early" do
    fiber = nil
    values = in_fibers(
      lambda {
        fiber = Fiber.current
        [error_of { 1000.times { addresses("localhost", 80) } }&.message, addresses("localhost", 80, :INET)]
      },
      -> { Fiber.scheduler.fiber_interrupt(fiber, RuntimeError.new("left")) }
    )
    expect(values.first).to eq(["left", ["127.0.0.1"]])
  end
end
