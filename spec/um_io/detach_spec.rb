# frozen_string_literal: true

require_relative "../support/http_peers"

RSpec.describe UM::IO, "#detach" do
  include SpecSupport::MachineHelpers
  include SpecSupport::HTTPPeers

  it "gives what came in and was not read", :gc do
    io
    send_raw("one\ntwo")
    expect(soon { io.read_line }).to eq("one")
    expect(io.detach).to eq("two")
    expect(io.pending).to eq(0)
  end

  it "is empty where nothing was read yet" do
    fd, = ends
    io
    send_raw("later")
    expect(io.detach).to eq("")
    expect(as_socket(fd).readpartial(10)).to eq("later")
  end

  it "leaves what comes from then on to others, and loses nothing in between" do
    fd, = ends
    io
    bytes = Random.new(4).bytes(2_000_000)
    sender = Thread.new { send_raw(bytes).tap { hang_up } }
    start = soon { io.read(10) }
    unread = io.detach
    rest = Thread.new { as_socket(fd).read }.value
    sender.join
    expect(start + unread + rest == bytes).to be(true)
  end

  it "says that the other end has ended by what the descriptor reads" do
    fd, = ends
    io
    send_raw("all")
    hang_up
    expect(soon { io.read(1) }).to eq("a")
    expect([io.detach, as_socket(fd).read]).to eq(["ll", ""])
  end

  it "lets the IO read again" do
    io
    send_raw("one")
    soon { io.read(1) }
    io.detach
    send_raw("two")
    expect(soon { io.read(3) }).to eq("two")
  end

  it "waits for its turn behind a reader" do
    io
    reader = machine.spin { io.read(3) }
    machine.snooze
    detached = machine.spin { io.detach }
    machine.snooze
    send_raw("onetwo")
    expect(soon { machine.join(reader, detached) }).to eq(%w[one two])
  end
end
