# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "socket options" do
  include SpecSupport::MachineHelpers

  let(:fd) { socketpair.first }

  def keepalive = machine.getsockopt(fd, UM::SOL_SOCKET, UM::SO_KEEPALIVE)

  def keepalive=(value)
    machine.setsockopt(fd, UM::SOL_SOCKET, UM::SO_KEEPALIVE, value)
  end

  it "are read as Integers" do
    expect(machine.getsockopt(fd, UM::SOL_SOCKET, UM::SO_TYPE)).to eq(UM::SOCK_STREAM)
  end

  it "take Integers, true and false" do
    seen = [true, false, 1, 0].map do |value|
      self.keepalive = value
      keepalive
    end
    expect(seen).to eq([1, 0, 1, 0])
    expect(machine.setsockopt(fd, UM::SOL_SOCKET, UM::SO_KEEPALIVE, true)).to eq(0)
  end

  it "are there at other levels" do
    tcp = keep(machine.socket(UM::AF_INET, UM::SOCK_STREAM, 0, 0))
    machine.setsockopt(tcp, UM::IPPROTO_TCP, UM::TCP_KEEPIDLE, 77)
    expect(machine.getsockopt(tcp, UM::IPPROTO_TCP, UM::TCP_KEEPIDLE)).to eq(77)
  end

  it "refuse other values, and change nothing" do
    ["1", nil, 1.0, :on].each { |value| expect { self.keepalive = value }.to raise_error(TypeError) }
    expect { self.keepalive = 1 << 31 }.to raise_error(RangeError)
    expect(keepalive).to eq(0)
  end

  it "raise what the kernel says" do
    expect { machine.getsockopt(-1, UM::SOL_SOCKET, UM::SO_TYPE) }.to raise_error(Errno::EBADF)
    expect { machine.getsockopt(pipe.first, UM::SOL_SOCKET, UM::SO_TYPE) }.to raise_error(Errno::ENOTSOCK)
    expect { machine.getsockopt(fd, UM::SOL_SOCKET, 12_345) }.to raise_error(Errno::ENOPROTOOPT)
    expect { machine.setsockopt(fd, UM::SOL_SOCKET, UM::SO_TYPE, 1) }.to raise_error(Errno::ENOPROTOOPT)
  end

  it "count as ops that are over at once" do
    fd
    before = total_ops
    self.keepalive = true
    keepalive
    expect([total_ops - before, pending]).to eq([2, 0])
  end
end
