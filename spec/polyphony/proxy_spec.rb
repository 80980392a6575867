# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "Polyphony.proxy", :polyphony do
  let(:interrupted) { SpecSupport::InPolyphony::Interrupted }

  # A client and a destination, with the two connections between which the proxy works.
  def chain
    client, near = tcp_pair
    destination, far = tcp_pair
    [client, near, destination, far]
  end

  def writing(io, data)
    spin do
      io.write(data)
      io.close_write
    end
  end

  def reading(io) = spin { io.read }

  it "moves both ways at once, and returns the bytes there and back" do
    client, near, destination, far = chain
    there = random_bytes(3_000_000)
    back = random_bytes(5_000_000)
    writing(client, there)
    writing(far, back)
    received = [reading(far), reading(client)]
    expect(Polyphony.proxy(near, destination)).to eq([there.bytesize, back.bytesize])
    [near, destination].each(&:close)
    expect(Fiber.await(received) == [there, back]).to be(true)
  end

  it "works in a spun fiber" do
    client, near, destination, far = chain
    proxying = spin { Polyphony.proxy(near, destination) }
    client.write("ping")
    client.close_write
    expect(spin { far.read }.await).to eq("ping")
    far.write("pong!")
    far.close_write
    expect(proxying.await).to eq([4, 5])
    expect(client.readpartial(10)).to eq("pong!")
  end

  it "passes all of an answer to a client that has half-closed" do
    client, near, destination, far = chain
    answer = random_bytes(5 * 1024 * 1024)
    client.write("request")
    client.close_write
    answering = spin do
      request = far.read
      far.write(answer)
      far.close
      request
    end
    received = reading(client)
    expect(Polyphony.proxy(near, destination)).to eq([7, answer.bytesize])
    near.close
    expect(answering.await).to eq("request")
    expect(received.await == answer).to be(true)
  end

  it "passes each half-close on while the other way goes on" do
    client, near, destination, far = chain
    proxying = spin { Polyphony.proxy(near, destination) }
    far.write("greeting")
    far.close_write
    expect(spin { client.read }.await).to eq("greeting")
    client.write("still talking")
    expect(spin { far.readpartial(100) }.await).to eq("still talking")
    client.close_write
    expect(proxying.await).to eq([13, 8])
  end

  it "works between UNIX sockets" do
    client, near = UNIXSocket.pair
    destination, far = UNIXSocket.pair
    client.write("there")
    client.close_write
    far.write("and back")
    far.close_write
    expect(Polyphony.proxy(near, destination)).to eq([5, 8])
    expect([far.read, client.read]).to eq(["there", "and back"])
  end

  it "moves what Ruby has read ahead first" do
    client, near, destination, far = chain
    client.write("CONNECT\nthe rest")
    client.close_write
    expect(spin { near.gets }.await).to eq("CONNECT\n")
    far.close_write
    expect(Polyphony.proxy(near, destination)).to eq([8, 0])
    expect(spin { far.read }.await).to eq("the rest")
  end

  it "closes neither of the two, and nothing of its own stays open" do
    client, near, destination, far = chain
    [client, far].each(&:close_write)
    before = open_descriptors
    expect(Polyphony.proxy(near, destination)).to eq([0, 0])
    expect([near, destination]).to all(have_attributes(closed?: false))
    expect(open_descriptors).to eq(before)
  end

  describe "errors" do
    it "raises when the client is reset, and leaves no pipe open" do
      client, near, destination, = chain
      before = open_descriptors
      proxying = spin { Polyphony.proxy(near, destination) }
      snooze
      client.setsockopt(Socket::Option.linger(true, 0))
      client.close
      expect { proxying.await }.to raise_error(Errno::ECONNRESET)
      expect(open_descriptors).to eq(before - 1)
    end

    it "raises when the destination is reset while much is on its way" do
      client, near, destination, far = chain
      writer = spin { client.write(random_bytes(20_000_000)) }
      proxying = spin { Polyphony.proxy(near, destination) }
      spin { far.readpartial(10) }.await
      far.setsockopt(Socket::Option.linger(true, 0))
      far.close
      disconnected = Polyphony::Ending::DISCONNECTS
      expect { proxying.await }.to(raise_error { |error| expect(disconnected).to include(error.class) })
      Polyphony.machine.schedule(writer, Polyphony::Terminate.new)
      Polyphony.machine.await(writer)
    end

    it "raises for closed sockets and what is no IO, and opens nothing" do
      client, near, = chain
      client.close
      before = open_descriptors
      expect { Polyphony.proxy(near, client) }.to raise_error(IOError)
      expect { Polyphony.proxy(client, near) }.to raise_error(IOError)
      expect { Polyphony.proxy(near, 1.5) }.to raise_error(TypeError)
      expect { Polyphony.proxy(near) }.to raise_error(ArgumentError)
      expect(open_descriptors).to eq(before)
    end

    it "ends where one end can't be spliced" do
      _client, near, = chain
      directory = File.open(__dir__)
      before = open_descriptors
      expect { Polyphony.proxy(directory, near) }.to raise_error(IOError, "not opened for writing")
      expect(open_descriptors).to eq(before)
      directory.close
    end
  end

  it "ends when interrupted, and leaves no pipe open" do
    _client, near, destination, _far = chain
    before = open_descriptors
    expect { interrupt_after(0.01) { Polyphony.proxy(near, destination) } }.to raise_error(interrupted)
    expect(open_descriptors).to eq(before)
  end

  it "leaves nothing open after 100 proxies were ended at some moment", time_limit: 60 do
    before = open_descriptors
    100.times do |round|
      client, near = UNIXSocket.pair
      destination, far = UNIXSocket.pair
      fibers = [spin { Polyphony.proxy(near, destination) }, spin { client.write("x" * (1 << (round % 18))) }]
      (round % 5).times { snooze }
      fibers.each { |fiber| Polyphony.machine.schedule(fiber, Polyphony::Terminate.new) }
      Polyphony.machine.await(fibers)
      [client, near, destination, far].each(&:close)
    end
    expect(open_descriptors).to eq(before)
  end

  it "moves data with the collector at work", :gc do
    client, near = UNIXSocket.pair
    destination, far = UNIXSocket.pair
    client.write("data")
    [client, far].each(&:close_write)
    expect(Polyphony.proxy(near, destination)).to eq([4, 0])
    expect(far.read).to eq("data")
  end
end
