# frozen_string_literal: true

require "pty"
require "io/console"
require "io/nonblock"
require_relative "../support/polyphony"
require_relative "../support/tls"

# The ends of transfers are looked at as core looks at the IOs of `IO.copy_stream`.
RSpec.describe "the ends of transfers", :polyphony do
  include SpecSupport::TLS

  ways = {
    "IO.splice" => ->(source, dest) { IO.splice(source, dest) },
    "IO.splice of one move" => ->(source, dest) { IO.splice(source, dest, 5) },
    "IO.double_splice" => ->(source, dest) { IO.double_splice(source, dest) },
    "IO.http1_splice_chunked" => ->(source, dest) { IO.http1_splice_chunked(source, dest, 5) },
    "IO.gzip" => ->(source, dest) { IO.gzip(source, dest) },
    "IO.deflate" => ->(source, dest) { IO.deflate(source, dest) }
  }
  expanding = { "IO.gunzip" => ->(source, dest) { IO.gunzip(source, dest) },
                "IO.inflate" => ->(source, dest) { IO.inflate(source, dest) } }
  both_ways = { "Polyphony.proxy" => ->(source, dest) { Polyphony.proxy(source, dest) } }
  reading = { "read_loop" => ->(source, _) { source.read_loop { nil } },
              "feed_loop" => ->(source, _) { source.feed_loop(proc {}) } }

  def error_of
    yield
    nil
  rescue StandardError => e
    [e.class, e.message]
  end

  ways.merge(expanding).each do |name, way|
    describe name do
      it "refuses a source that isn't open for reading, and a destination that isn't open for writing" do
        full = temporary_file("text")
        ["text", ""].each do |content|
          source = temporary_file(content)
          File.open(full.path) do |dest|
            expect(error_of { way.call(source, dest) }).to eq([IOError, "not opened for writing"])
          end
        end
        File.open(full.path, "a") do |source|
          expect(error_of { way.call(source, temporary_file) }).to eq([IOError, "not opened for reading"])
        end
        expect(File.read(full.path)).to eq("text")
      end

      it "refuses ends that are closed, and a negative number" do
        reader, writer = IO.pipe.each(&:close)
        expect(error_of { way.call(reader, temporary_file) }).to eq([IOError, "closed stream"])
        expect(error_of { way.call(temporary_file, writer) }).to eq([IOError, "closed stream"])
        expect(error_of { way.call(-1, temporary_file) }.first).to be(ArgumentError)
        reader, writer = IO.pipe
        writer << "text"
        expect(error_of { way.call(reader, -1) }.first).to be(ArgumentError)
        expect(reader.read_nonblock(10)).to eq("text")
        [reader, writer].each(&:close)
      end
    end
  end

  ways.except("IO.gzip", "IO.deflate").each do |name, way|
    it "writes what Ruby holds back of the source before #{name} reads it" do
      spin do
        client, server = UNIXSocket.pair
        dest, = UNIXSocket.pair
        client.sync = false
        client.write("hello")
        moving = spin { way.call(client, dest) }
        expect(server.readpartial(5)).to eq("hello")
        server.write("world")
        server.close
        expect(moving.await).to eq(5)
        [client, dest].each(&:close)
      end.await
    end

    it "reads a file behind what was written to it before, with #{name}" do
      file = temporary_file("0123456789")
      file.write("AB")
      reader, writer = IO.pipe
      way.call(file, writer)
      writer.close
      expect(reader.read).to match(/\A(5\r\n)?23456/)
      file.close
      expect(File.read(@temporary_files.last.path)).to eq("AB23456789")
      reader.close
    end
  end

  ways.merge(expanding, both_ways, reading).each do |name, way|
    it "gives the source the time of IO#timeout in #{name}" do
      source, peer = UNIXSocket.pair
      dest, far = UNIXSocket.pair
      source.timeout = 0.01
      expect(error_of { spin { way.call(source, dest) }.await }.first).to be(IO::TimeoutError)
      [source, peer, dest, far].each(&:close)
    end
  end

  ways.except("IO.splice of one move").each do |name, way|
    it "gives the destination the time of IO#timeout in #{name}" do
      dest, peer = UNIXSocket.pair
      dest.timeout = 0.01
      source = File.open("/dev/urandom", "rb")
      expect(error_of { spin { way.call(source, dest) }.await }.first).to be(IO::TimeoutError)
      [source, dest, peer].each(&:close)
    end
  end

  describe "IO.http1_splice_chunked" do
    def tls_pair
      near, far = UNIXSocket.pair
      server = OpenSSL::SSL::SSLSocket.new(far, server_context)
      client = OpenSSL::SSL::SSLSocket.new(near, client_context)
      [server, client].each { |socket| socket.sync_close = true }
      Fiber.await(spin { server.accept }, spin { client.connect })
      [client, server]
    end

    terminal = -> { PTY.open.tap { |_, slave| slave.raw! }.reverse }
    blocking = -> { UNIXSocket.pair.each { |socket| socket.nonblock = false } }
    cases = {
      "sockets" => [-> { UNIXSocket.pair }, -> { UNIXSocket.pair }],
      "a socket that blocks and another" => [blocking, -> { UNIXSocket.pair }],
      "a socket and one that blocks" => [-> { UNIXSocket.pair }, blocking],
      "a terminal and a socket" => [terminal, -> { UNIXSocket.pair }],
      "an SSLSocket and a socket" => [-> { tls_pair }, -> { UNIXSocket.pair }],
      "a pipe and an SSLSocket" => [-> { IO.pipe.reverse }, -> { tls_pair }]
    }
    cases.each do |name, (make_source, make_dest)|
      it "sends whole chunks while the source is silent: #{name}" do
        spin do
          (feeder, source) = instance_exec(&make_source)
          (dest, peer) = instance_exec(&make_dest)
          moving = spin { IO.http1_splice_chunked(source, dest, 1000) }
          got = +""
          %w[event other].each do |event|
            feeder.write(event)
            wanted = "5\r\n#{event}\r\n"
            got << peer.readpartial(100) while got.bytesize < wanted.bytesize
            expect(got).to eq(wanted)
            got.clear
          end
          moving.stop
          moving.await
          [feeder, source, dest, peer].each(&:close)
        end.await
      end
    end

    {
      "from TLS to a plain connection" => [-> { tls_pair }, -> { UNIXSocket.pair }],
      "from a plain connection to TLS" => [-> { UNIXSocket.pair }, -> { tls_pair }],
      "from TLS to TLS" => [-> { tls_pair }, -> { tls_pair }]
    }.each do |name, (make_source, make_dest)|
      it "the end is passed on by IO.double_splice #{name}" do
        spin do
          (client, inside) = instance_exec(&make_source)
          (upstream, backend) = instance_exec(&make_dest)
          moving = spin { IO.double_splice(inside, upstream) }
          client.write("request")
          client.is_a?(OpenSSL::SSL::SSLSocket) ? client.close : client.close_write
          expect(backend.read).to eq("request")
          expect(moving.await).to eq(7)
          [client, inside, upstream, backend].each(&:close)
        end.await
      end
    end
  end

  it "an empty datagram is no end: IO.splice and IO.double_splice go on behind it" do
    sender, receiver = UNIXSocket.pair(Socket::SOCK_DGRAM)
    reader, writer = IO.pipe
    moving = spin { IO.splice(receiver, writer) }
    ["one", "", "two"].each { |text| sender.send(text, 0) }
    expect(spin { reader.read(6) }.await).to eq("onetwo")
    expect(moving).not_to be_done
    moving.stop
    moving.await
    [sender, receiver, reader, writer].each(&:close)
  end
end
