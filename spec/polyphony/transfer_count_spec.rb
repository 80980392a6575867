# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "what a transfer has moved", :polyphony do
  let(:interrupted) { SpecSupport::InPolyphony::Interrupted }

  # What a transfer has moved that is interrupted when something has come out at these ends.
  def interrupted_transfer(*ends)
    moving = spin do
      yield
    rescue interrupted => e
      e.bytes_moved
    end
    Fiber.await(ends.map { |io| spin { io.wait_readable } })
    Polyphony.machine.schedule(moving, interrupted.new)
    moving.await
  end

  def socket_with(data)
    near, far = UNIXSocket.pair
    spin { far.write(data) && far.close }
    near
  end

  it "is on the exception that ended it, and the file's position is behind it" do
    data = random_bytes(5_000_000)
    file = temporary_file(data)
    near, far = tcp_pair
    moved = interrupted_transfer(far) { IO.double_splice(file, near) }
    near.close
    received = spin { far.read }.await
    expect(moved).to be_between(1, data.bytesize - 1)
    expect(received == data.byteslice(0, moved)).to be(true)
    expect([file.pos, file.read == data.byteslice(moved..)]).to eq([moved, true])
  end

  it "leaves what a socket had sent and nobody took to be read next" do
    data = random_bytes(2_000_000)
    client, near = tcp_pair
    _reader, writer = IO.pipe
    destination, far = UNIXSocket.pair
    writing = spin { client.write(data) && client.close }
    moved = interrupted_transfer(far) { IO.double_splice(near, destination) }
    destination.close
    received = spin { far.read }.await
    expect(received.bytesize).to eq(moved)
    writer.close
    rest = spin { near.read }.await
    writing.await
    expect(received + rest == data).to be(true)
  end

  it "can be taken up again" do
    data = random_bytes(2_000_000)
    client, near = tcp_pair
    destination, far = UNIXSocket.pair
    writing = spin { client.write(data) && client.close }
    first = interrupted_transfer(far) { IO.double_splice(near, destination) }
    received = spin { far.read }
    expect(first + IO.double_splice(near, destination)).to eq(data.bytesize)
    destination.close
    writing.await
    expect(received.await == data).to be(true)
  end

  it "is on a splice's exception" do
    reader, writer = IO.pipe
    file = temporary_file(random_bytes(500_000))
    moved = interrupted_transfer(reader) { IO.splice(file, writer) }
    expect(moved).to eq(file.pos)
    expect(reader.read_nonblock(1_000_000).bytesize).to eq(moved)
  end

  it "is on a proxy's exception, for both ways" do
    client, near = tcp_pair
    back, far = tcp_pair
    client.write("there")
    far.write("back")
    expect(interrupted_transfer(client, far) { Polyphony.proxy(near, back) }).to eq([5, 4])
  end

  it "is on an EPIPE" do
    file = temporary_file("abc")
    reader, writer = IO.pipe
    reader.close
    expect { IO.double_splice(file, writer) }
      .to raise_error(Errno::EPIPE) { |error| expect(error.bytes_moved).to eq(0) }
  end

  it "is nil on other exceptions" do
    expect(RuntimeError.new.bytes_moved).to be_nil
  end

  it "does no harm to a frozen exception" do
    reader, = IO.pipe
    _other, writer = IO.pipe
    moving = spin do
      IO.double_splice(reader, writer)
    rescue interrupted => e
      e.bytes_moved.inspect
    end
    snooze
    Polyphony.machine.schedule(moving, interrupted.new.freeze)
    expect(moving.await).to eq("nil")
  end

  describe "told to a block" do
    it "grows to the total" do
      told = []
      copy = temporary_file
      data = random_bytes(3_000_000)
      expect(IO.double_splice(temporary_file(data), copy) { |moved| told << moved }).to eq(data.bytesize)
      expect([told, told.last]).to eq([told.uniq.sort, data.bytesize])
    end

    it "is told of splices to EOF, and of files sent to sockets" do
      reader, writer = IO.pipe
      told = []
      IO.splice(temporary_file("abcde"), writer, -2) { |moved| told << moved }
      expect(told).to eq([2, 4, 5])
      near, far = UNIXSocket.pair
      IO.double_splice(temporary_file("abcde"), near, -2) { |moved| told << moved }
      expect(told.last(3)).to eq([2, 4, 5])
      [reader, writer, near, far].each(&:close)
    end

    it "may leave by break or with an error, and the source goes on from there" do
      file = temporary_file("abcde")
      near, far = UNIXSocket.pair
      before = open_descriptors
      expect(IO.double_splice(file, near, -2) { |moved| break moved }).to eq(2)
      expect { IO.double_splice(file, near, -1) { raise "enough" } }
        .to raise_error("enough") { |error| expect(error.bytes_moved).to eq(1) }
      expect(open_descriptors).to eq(before)
      expect([far.readpartial(10), file.read]).to eq(%w[abc de])
      [near, far, file].each(&:close)
    end
  end

  it "is right after 150 transfers were ended at some moment", time_limit: 60 do
    data = random_bytes(600_000)
    before = open_descriptors
    150.times do |round|
      near, far = UNIXSocket.pair
      source = round.even? ? temporary_file(data) : socket_with(data)
      count = nil
      moving = spin do
        IO.double_splice(source, near)
      rescue Polyphony::Terminate => e
        count = e.bytes_moved
      end
      reading = spin { far.read }
      (round % 11).times { snooze }
      Polyphony.machine.schedule(moving, Polyphony::Terminate.new)
      Polyphony.machine.await(moving)
      near.close
      received = reading.await
      rest = spin { source.read }.await
      expect(received + rest == data).to be(true), "round #{round}"
      expect(received.bytesize).to eq(count) if count
      [far, source].each(&:close)
    end
    expect(open_descriptors).to be <= before # the collector may close others
  end
end
