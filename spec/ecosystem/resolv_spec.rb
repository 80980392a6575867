# frozen_string_literal: true

require "resolv"
require_relative "../support/ecosystem"

# Against a DNS server of this spec, which answers when all questions have come, the last one first.
RSpec.describe Resolv::DNS do
  # Answers so many questions at a time.
  def dns_server(count)
    socket = UDPSocket.new.tap { |opened| opened.bind("127.0.0.1", 0) }
    thread = Thread.new do
      loop { Array.new(count) { socket.recvfrom(512) }.reverse_each { |asked| answer(socket, *asked) } }
    end
    yield ["127.0.0.1", socket.local_address.ip_port]
  ensure
    thread.kill.join
    socket.close
  end

  # `host7.example` has the address 10.0.0.7, and no other name has any.
  def answer(socket, data, (_, port, _, host))
    message = Resolv::DNS::Message.decode(data)
    message.qr = 1
    message.each_question do |name, type|
      number = name.to_s[/\Ahost(\d+)\.example\z/, 1]
      next message.rcode = Resolv::DNS::RCode::NXDomain unless number

      message.add_answer(name, 60, Resolv::DNS::Resource::IN::A.new("10.0.0.#{number}")) if type <= a_record
    end
    socket.send(message.encode, 0, host, port)
  end

  def a_record = Resolv::DNS::Resource::IN::A

  def resolver(address) = described_class.new(nameserver_port: [address], ndots: 1, search: [])

  in_both_ways do
    it "asks 30 questions at a time, each with a resolver of its own" do
      dns_server(30) do |address|
        asking = Array.new(30) do |number|
          lambda do
            dns = resolver(address)
            dns.getresource("host#{number}.example", a_record).address.to_s.tap { dns.close }
          end
        end
        expect(together(asking)).to eq(Array.new(30) { |number| "10.0.0.#{number}" })
      end
    end

    it "asks 30 questions at a time with one resolver for all" do
      dns_server(30) do |address|
        dns = resolver(address)
        asking = Array.new(30) { |n| -> { dns.getresource("host#{n}.example", a_record).address.to_s } }
        expect(together(asking)).to eq(Array.new(30) { |number| "10.0.0.#{number}" })
        dns.close
      end
    end

    it "raises for a name that is unknown, and for a server that doesn't answer" do
      dns_server(2) do |address|
        asking = lambda do |name, seconds|
          dns = resolver(address).tap { |made| made.timeouts = seconds }
          error_of { dns.getresource(name, a_record) }.tap { dns.close }.message
        end
        late, = together(-> { asking.call("late.example", 0.02) })
        unknown, = together(-> { asking.call("nobody.example", 10) })
        expect(late).to eq("DNS result has no information for late.example")
        expect(unknown).to eq("DNS result has no information for nobody.example")
      end
    end
  end
end
