# frozen_string_literal: true

require_relative "../support/polyphony"

# What was taken from a source and has not reached its destination when a transfer ends early is the
# next to be read, by core as well, whatever Ruby had read ahead.
RSpec.describe "giving back what a transfer has taken", :polyphony do
  # Of these bytes, whichever are missing, doubled or in another place show.
  def numbered(size) = (0..(size / 8)).map { |number| format("%07d,", number) }.join.byteslice(0, size)

  # What reaches the destination, without the frames of chunks.
  def received(peer, chunked:)
    text = +""
    loop { text << peer.read_nonblock(1_000_000) }
  rescue IO::WaitReadable, EOFError
    return text unless chunked

    payload = +""
    while (size = text.slice!(/\A\h+\r\n/)&.to_i(16))
      payload << text.slice!(0, size)
      text.delete_prefix!("\r\n")
    end
    payload
  end

  ways = {
    "IO.splice" => ->(source, dest, _) { IO.splice(source, dest) },
    "IO.splice in small moves" => ->(source, dest, size) { IO.splice(source, dest, -size) },
    "IO.splice, move by move" => ->(source, dest, size) { nil while IO.splice(source, dest, size).positive? },
    "IO.double_splice" => ->(source, dest, _) { IO.double_splice(source, dest) },
    "IO.double_splice to a limit" => ->(source, dest, size) { IO.double_splice(source, dest, size * 3) },
    "IO.http1_splice_chunked" => ->(source, dest, size) { IO.http1_splice_chunked(source, dest, size) },
    "Polyphony.proxy" => ->(source, dest, _) { Polyphony.proxy(source, dest) }
  }
  sources = {
    "a socket" => lambda do |data, random|
      near, far = UNIXSocket.pair
      spin do
        far.write(data)
        far.close_write
        far.read
      rescue Errno::EPIPE, IOError
        nil
      end
      random.rand(2).zero? || near.sync = false
      near
    end,
    "a pipe" => lambda do |data, _|
      reader, writer = IO.pipe
      spin do
        writer.write(data)
        writer.close
      rescue Errno::EPIPE
        nil
      end
      reader
    end,
    "a file" => ->(data, _) { temporary_file(data) }
  }

  # A source of which a random part was read by core, in a way that leaves a buffer of any size.
  def begin_reading(source, random)
    case random.rand(4)
    when 0 then +""
    when 1 then source.gets(",")
    when 2 then source.read(random.rand(1..20_000))
    else source.gets(",").then { |line| source.ungetbyte(line) }.then { +"" }
    end
  end

  # Moves in pieces that are interrupted at random, then core reads the rest: all there was.
  def moved(source, way, random, chunked:)
    dest, peer = UNIXSocket.pair
    dest.setsockopt(:SOCKET, :SNDBUF, 4096) if random.rand(2).zero?
    text = begin_reading(source, random)
    random.rand(1..5).times do
      fiber = spin { way.call(source, dest, random.rand(1..40_000)) }
      random.rand(12).times { snooze }
      text << received(peer, chunked: false) unless chunked
      fiber.terminate
      Polyphony.machine.await(fiber)
      text << received(peer, chunked:)
      # A chunk that was cut can't be told from what follows.
      break if chunked
    end
    text << source.read
  ensure
    [dest, peer].each(&:close)
  end

  ways.to_a.product(sources.to_a).each do |(name, way), (kind, make)|
    next if name == "Polyphony.proxy" && kind != "a socket"

    it "leaves nothing out, nothing twice, all in its place: #{name} from #{kind}", time_limit: 60 do
      12.times do
        seed = Random.new_seed
        random = Random.new(seed)
        data = numbered(random.rand(1..600_000))
        result = spin do
          source = instance_exec(data, random, &make)
          moved(source, way, random, chunked: name.include?("chunked"))
        ensure
          source&.close
        end.await
        expect(result == data).to be(true), -> { "seed #{seed}: #{difference(data, result)}" }
      end
    end
  end

  def difference(data, result)
    at = (0...[data.size, result.size].max).find { |index| data[index] != result[index] }
    "#{result.size} of #{data.size} bytes; at #{at} #{result[at, 20].inspect} for #{data[at, 20].inspect}"
  end

  it "gives back more than the IO's buffer has room for, and again" do
    spin do
      near, far = UNIXSocket.pair
      data = numbered(400_000)
      spin { far.write(data) && far.close }
      line = near.gets(",")
      3.times do
        dest, peer = UNIXSocket.pair
        fiber = spin { IO.double_splice(near, dest) }
        10.times { snooze }
        fiber.terminate
        Polyphony.machine.await(fiber)
        line << received(peer, chunked: false)
        [dest, peer].each(&:close)
      end
      expect(line + near.read == data).to be(true)
      near.close
    end.await
  end

  it "leaves a reader that waits in the IO's old buffer its memory", :gc do
    spin do
      near, far = UNIXSocket.pair
      far.write("line\n")
      near.gets
      reading = spin { near.gets }
      snooze
      # Puts it before what the reader waits for: more than the old buffer holds.
      near.ungetbyte("x" * 100) rescue nil # rubocop:disable Style/RescueModifier -- the reader has the buffer
      moving = spin { IO.double_splice(near, far) }
      snooze
      [moving, reading].each(&:terminate)
      Polyphony.machine.await([moving, reading])
      [near, far].each(&:close)
      GC.start
    end.await
  end

  it "puts back what an interrupted read of core's has got", :gc do
    near, far = UNIXSocket.pair
    far.write("line\n")
    expect(near.gets).to eq("line\n")
    reading = spin { near.read(50_000) }
    3.times { snooze }
    far.write("x" * 30_000)
    reading.terminate
    Polyphony.machine.await(reading)
    far.close
    expect(spin { near.read.size }.await).to eq(30_000)
    near.close
  end
end
