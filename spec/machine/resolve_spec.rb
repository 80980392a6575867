# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "#resolve" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }

  def ipv6_addresses(name)
    Addrinfo.getaddrinfo(name, nil, :INET6, :STREAM).map(&:ip_address)
  rescue SocketError
    []
  end

  it "gives IPv4 addresses", :gc do
    expect(machine.resolve("localhost")).to eq(["127.0.0.1"])
    expect(machine.resolve("localhost", :A)).to eq(["127.0.0.1"])
  end

  it "gives IPv6 addresses, where there are any" do
    expect(machine.resolve("localhost", :AAAA)).to eq(ipv6_addresses("localhost"))
  end

  it "gives numbers back, of their own family" do
    found = %w[127.0.0.1 ::1].product(%i[A AAAA]).map { |name, type| machine.resolve(name, type) }
    expect(found).to eq([["127.0.0.1"], [], [], ["::1"]])
  end

  it "gives nothing for a name that is not known" do
    expect(machine.resolve("no-such-host.invalid")).to eq([])
  end

  it "refuses other types, and what is no name" do
    [:MX, "A", 1].each { |type| expect { machine.resolve("localhost", type) }.to raise_error(ArgumentError) }
    [nil, :localhost, 1].each { |name| expect { machine.resolve(name) }.to raise_error(TypeError) }
    expect { machine.resolve }.to raise_error(ArgumentError)
  end

  it "lets other fibers run" do
    log = []
    machine.spin { log << :other }
    machine.resolve("localhost")
    expect(log).to eq([:other])
  end

  it "is interrupted by an exception, or by a value, which it returns" do
    results = [stop.new, :value].map do |value|
      fiber = machine.spin { machine.resolve("localhost") }
      machine.snooze
      machine.schedule(fiber, value)
      machine.join(fiber)
    end
    expect(results).to match([be_a(stop), :value])
  end

  it "is interrupted by a timeout" do
    expect { machine.timeout(0, stop) { 1000.times { machine.resolve("localhost") } } }.to raise_error(stop)
  end

  describe UM::DNSResolver do
    it "resolves on its machine" do
      resolver = described_class.new(machine)
      expect([resolver.resolve("localhost"), resolver.resolve("127.0.0.1", :AAAA)]).to eq([["127.0.0.1"], []])
    end
  end
end
