# frozen_string_literal: true

require_relative "../support/machine_helpers"
require_relative "../support/tls"

RSpec.describe UM, "TLS" do
  include SpecSupport::MachineHelpers
  include SpecSupport::TLS

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:buffer) { +"" }
  let(:server) { pair.first }
  let(:client) { pair.last }
  # Not made on demand: that could be in the middle of a switch.
  let!(:pair) { tls_pair }

  # Bytes that compress badly and tell where they are.
  def pattern(size) = Random.new(size).bytes(size)

  # Both ends have BIOs of ours: what one writes, the other one reads.
  def expect_working
    reading = machine.spin { ssl_read_all(client, 4) }
    machine.ssl_write(server, "pong", 0)
    expect(soon { machine.join(reading) }).to eq("pong")
    reading = machine.spin { ssl_read_all(server, 4) }
    machine.ssl_write(client, "ping", 0)
    expect(soon { machine.join(reading) }).to eq("ping")
  end

  describe "#ssl_set_bio" do
    it "returns the machine and leaves a mark" do
      ssl = OpenSSL::SSL::SSLSocket.new(plain_pair.first, client_context)
      expect(machine.ssl_set_bio(ssl)).to be(machine)
      expect(ssl.instance_variable_get(:@__um_bio__)).to be(true)
    end

    it "does it once" do
      machine.ssl_write(client, "kept", 0)
      expect(machine.ssl_read(server, buffer, 1)).to eq(1)
      expect { machine.ssl_set_bio(server) }.not_to(change { server.singleton_class.ancestors })
      expect([machine.ssl_read(server, buffer, 9), buffer]).to eq([3, "ept"])
    end

    it "takes over a connection that has shaken hands" do
      server, client = plain_pair.zip([server_context, client_context]).map do |socket, context|
        OpenSSL::SSL::SSLSocket.new(socket, context)
      end
      accepting = Thread.new { server.accept }
      client.connect
      accepting.join
      client.write("before")
      machine.ssl_set_bio(server)
      expect([machine.ssl_read(server, buffer, 100), buffer]).to eq([6, "before"])
    end

    it "raises TypeError for anything else" do
      [plain_pair.first, nil, 1, Object.new, Thread.current, client_context].each do |other|
        expect { machine.ssl_set_bio(other) }.to raise_error(TypeError, /SSLSocket/)
        expect { machine.ssl_read(other, buffer, 10) }.to raise_error(TypeError, /SSLSocket/)
        expect { machine.ssl_write(other, "x", 0) }.to raise_error(TypeError, /SSLSocket/)
      end
    end

    it "raises UM::Error for an SSLSocket that is none yet" do
      ssl = OpenSSL::SSL::SSLSocket.allocate
      expect { machine.ssl_set_bio(ssl) }.to raise_error(UM::Error, /uninitialized/)
    end

    it "raises IOError for a closed one" do
      one, = plain_pair
      ssl = OpenSSL::SSL::SSLSocket.new(one, client_context)
      one.close
      expect { machine.ssl_set_bio(ssl) }.to raise_error(IOError)
      expect(ssl.instance_variable_get(:@__um_bio__)).to be_nil
    end

    it "raises FrozenError for a frozen one" do
      ssl = OpenSSL::SSL::SSLSocket.new(plain_pair.first, client_context).freeze
      expect { machine.ssl_set_bio(ssl) }.to raise_error(FrozenError)
    end

    it "asks for openssl where it was never loaded" do
      outcome = ruby_program(<<~RUBY)
        require "uringmachine"
        begin
          UM.new.ssl_set_bio(Object.new)
        rescue TypeError => e
          puts e.message
        end
      RUBY
      expect(outcome.stdout).to include('require "openssl"')
    end
  end

  describe "the handshake" do
    it "lets other fibers of the machine run" do
      server, client = fresh_tls_pair
      accepting = machine.spin { server.accept }
      connecting = machine.spin { client.connect }
      expect(soon { machine.join(accepting, connecting) }).to eq([server, client])
    end

    it "can be interrupted" do
      server, = fresh_tls_pair
      expect { machine.timeout(0.01, stop) { server.accept } }.to raise_error(stop)
      fiber = parked { server.accept }
      machine.schedule(fiber, stop.new)
      expect(machine.join(fiber)).to be_a(stop)
    end

    it "fails as it does without us" do
      server, client = fresh_tls_pair
      accepting = machine.spin { server.accept }
      client.to_io.write("GET / HTTP/1.0\r\n\r\n")
      expect(soon { machine.join(accepting) }).to be_a(OpenSSL::SSL::SSLError)
    end

    it "raises the Errno of a connection that was reset" do
      listener = keep_open(TCPServer.new("127.0.0.1", 0))
      other = keep_open(TCPSocket.new("127.0.0.1", listener.addr[1]))
      server, = fresh_tls_pair([keep_open(listener.accept)])
      fiber = parked { server.accept }
      other.setsockopt(Socket::Option.linger(true, 0))
      other.close
      expect(soon { machine.join(fiber) }).to be_a(Errno::ECONNRESET).or be_a(OpenSSL::SSL::SSLError)
    end
  end

  describe "the SSLSocket's own methods" do
    it "wait in the machine" do
      fiber = parked { [server.gets, server.read(3), server.readpartial(100), server.read] }
      client.puts("line")
      machine.snooze
      client.write("abc")
      client.write("rest")
      client.close
      expect(soon { machine.join(fiber) }).to eq(["line\n", "abc", "rest", ""])
    end

    it "wait for a peer that doesn't read" do
      bytes = pattern(2_000_000)
      fiber = parked { client.write(bytes) }
      expect(client.to_io.wait_writable(0)).to be_nil
      expect(ssl_read_all(server, bytes.bytesize) == bytes).to be(true)
      expect(machine.join(fiber)).to eq(bytes.bytesize)
    end

    it "raise EOFError at the end" do
      fiber = parked { server.sysread(10) }
      client.close
      expect(soon { machine.join(fiber) }).to be_a(EOFError)
    end

    it "don't wait where they are asked not to" do
      expect(server.read_nonblock(10, exception: false)).to eq(:wait_readable)
      machine.ssl_write(client, "there", 0)
      expect(server.read_nonblock(10, exception: false)).to eq("there")
    end

    it "read what a call of the machine has received" do
      machine.ssl_write(client, "one two", 0)
      machine.ssl_read(server, buffer, 3)
      expect(server.readpartial(100)).to eq(" two")
    end

    it "can be interrupted" do
      expect { machine.timeout(0.01, stop) { server.gets } }.to raise_error(stop)
      expect_working
    end
  end

  describe "#ssl_read and #ssl_write" do
    [1, 16 * 1024, (16 * 1024) + 1, 3 * 1024 * 1024].each do |size|
      it "carry #{size} bytes" do
        bytes = pattern(size)
        reading = machine.spin { ssl_read_all(server, size) }
        expect(machine.ssl_write(client, bytes, 0)).to eq(size)
        expect(soon { machine.join(reading) } == bytes).to be(true)
      end
    end

    it "carry bytes both ways at once" do
      bytes = pattern(3 * 1024 * 1024)
      writing = pair.map { |ssl| machine.spin { machine.ssl_write(ssl, bytes, 0) } }
      reading = pair.map { |ssl| machine.spin { ssl_read_all(ssl, bytes.bytesize) } }
      expect(soon { machine.join(writing) }).to eq([bytes.bytesize] * 2)
      expect(machine.join(reading) == [bytes] * 2).to be(true)
    end

    it "carry nothing" do
      expect(machine.ssl_write(client, "", 0)).to eq(0)
      expect([machine.ssl_read(server, buffer, 0), buffer, pending]).to eq([0, "", 0])
    end

    it "work over TLS 1.2" do
      context = client_context.tap { |one| one.max_version = OpenSSL::SSL::TLS1_2_VERSION }
      one, other = plain_pair
      server = OpenSSL::SSL::SSLSocket.new(one, server_context)
      client = OpenSSL::SSL::SSLSocket.new(other, context)
      [server, client].each { |ssl| machine.ssl_set_bio(ssl) }
      shake_hands(server, client)
      machine.ssl_write(client, "old", 0)
      expect([client.ssl_version, ssl_read_all(server, 3)]).to eq(["TLSv1.2", "old"])
    end

    it "work on sockets that wait" do
      one, other = plain_pair
      pair = tls_pair([one, other])
      [one, other].each { |socket| socket.nonblock = false }
      fiber = parked { ssl_read_all(pair.first, 5) }
      machine.ssl_write(pair.last, "hello", 0)
      expect(soon { machine.join(fiber) }).to eq("hello")
    end

    it "set up an SSLSocket by themselves" do
      context = [server_context, client_context]
      server, client = plain_pair.zip(context).map { |one, two| OpenSSL::SSL::SSLSocket.new(one, two) }
      accepting = Thread.new { server.accept }
      client.connect
      accepting.join
      machine.ssl_write(client, "hello", 0)
      expect([machine.ssl_read(server, buffer, 10), buffer]).to eq([5, "hello"])
    end

    it "take IO::Buffers" do
      target = IO::Buffer.new(8)
      machine.ssl_write(client, IO::Buffer.for("hello"), 0)
      expect([machine.ssl_read(server, target, 8), target.get_string(0, 5)]).to eq([5, "hello"])
    end

    it "ssl_read replaces what the String held" do
      buffer << "something longer"
      machine.ssl_write(client, "new", 0)
      expect([machine.ssl_read(server, buffer, 100), buffer]).to eq([3, "new"])
    end

    it "ssl_read gives what is decrypted already, up to max" do
      machine.ssl_write(client, "abc", 0)
      parts = Array.new(3) { machine.ssl_read(server, buffer, 1) && buffer.dup }
      expect(parts).to eq(%w[a b c])
    end

    it "ssl_write takes a length" do
      expect(machine.ssl_write(client, "hello", 2)).to eq(2)
      expect(machine.ssl_write(client, "world", 100)).to eq(5)
      expect(ssl_read_all(server, 7)).to eq("heworld")
    end

    it "ssl_write sends what the String held when it was called" do
      bytes = "a" * 1_000_000
      fiber = parked { machine.ssl_write(client, bytes, 0) }
      bytes.replace("b" * 1_000_000)
      expect(ssl_read_all(server, 1_000_000).delete("a")).to eq("")
      machine.join(fiber)
    end

    it "wait through the ring" do
      fiber = parked { machine.ssl_read(server, buffer, 10) }
      expect(pending).to eq(1)
      expect { machine.ssl_write(client, "x", 0) }.to change { total_ops }.by_at_least(1)
      expect(machine.join(fiber)).to eq(1)
    end
  end

  describe "bad arguments" do
    it "raise before anything is done" do
      expect { machine.ssl_read(server, :buffer, 10) }.to raise_error(UM::Error, /buffer/)
      expect { machine.ssl_read(server, buffer, "10") }.to raise_error(TypeError)
      expect { machine.ssl_read(server, buffer, -1) }.to raise_error(ArgumentError)
      expect { machine.ssl_read(server, "frozen", 10) }.to raise_error(FrozenError)
      expect { machine.ssl_write(server, 5, 0) }.to raise_error(UM::Error, /buffer/)
      expect { machine.ssl_write(server, "x", "1") }.to raise_error(TypeError)
      expect { machine.ssl_write(server, "x", -2) }.to raise_error(ArgumentError)
      expect_working
    end
  end

  describe "the end of a connection" do
    it "is 0 for ssl_read when it is in good order" do
      buffer << "as it was"
      fiber = parked { machine.ssl_read(server, buffer, 10) }
      client.close
      expect([soon { machine.join(fiber) }, buffer]).to eq([0, "as it was"])
      expect(machine.ssl_read(server, buffer, 10)).to eq(0)
    end

    it "is 0 behind the last bytes" do
      machine.ssl_write(client, "last", 0)
      client.close
      expect([machine.ssl_read(server, buffer, 10), buffer]).to eq([4, "last"])
      expect(machine.ssl_read(server, buffer, 10)).to eq(0)
    end

    it "is UM::Error for ssl_read when it is cut off" do
      expect_working
      fiber = parked { machine.ssl_read(server, buffer, 10) }
      client.to_io.close
      error = soon { machine.join(fiber) }
      expect([error.class, error.message]).to match([UM::Error, /\ASSL_read: .*eof/])
    end

    it "is UM::Error for ssl_read when the peer has reset it" do
      listener = keep_open(TCPServer.new("127.0.0.1", 0))
      socket = keep_open(TCPSocket.new("127.0.0.1", listener.addr[1]))
      server, = tls_pair([keep_open(listener.accept), socket])
      fiber = parked { machine.ssl_read(server, buffer, 10) }
      socket.setsockopt(Socket::Option.linger(true, 0))
      socket.close
      expect(soon { machine.join(fiber) }.message).to eq("SSL_read: Connection reset by peer")
    end

    it "is UM::Error for ssl_write when the peer has gone" do
      client.to_io.close
      expect { machine.ssl_write(server, "x" * 100_000, 0) }
        .to raise_error(UM::Error, "SSL_write: Broken pipe")
      expect { machine.ssl_write(server, "x", 0) }.to raise_error(UM::Error)
    end

    it "is UM::Error for ssl_write when it waits for the peer" do
      fiber = parked { machine.ssl_write(server, "x" * 3_000_000, 0) }
      client.to_io.close
      expect(soon { machine.join(fiber) }).to be_a(UM::Error)
    end

    it "is UM::Error for ssl_write after close" do
      server.close
      expect { machine.ssl_write(server, "x", 0) }.to raise_error(UM::Error, /shutdown/)
    end

    it "is IOError for a socket that was closed here" do
      client.to_io.close
      expect { machine.ssl_read(client, buffer, 10) }.to raise_error(IOError)
      expect { machine.ssl_write(client, "x", 0) }.to raise_error(IOError)
    end

    it "sends nothing to a socket that has got the number of a closed one" do
      fiber = parked { machine.ssl_write(client, "x" * 3_000_000, 0) }
      machine.schedule(fiber, stop.new)
      expect(machine.join(fiber)).to be_a(stop)
      number = client.to_io.fileno
      client.to_io.close
      one, other = plain_pair
      expect(one.fileno).to eq(number)
      expect { machine.ssl_read(client, buffer, 10) }.to raise_error(IOError)
      expect(other.read_nonblock(10, exception: false)).to eq(:wait_readable)
    end

    it "is UM::Error for who waits when the machine closes the descriptor" do
      one, other = plain_pair
      server, = tls_pair([one, other])
      fiber = parked { machine.ssl_read(server, buffer, 10) }
      one.autoclose = false
      machine.close(one.fileno)
      expect(soon { machine.join(fiber) }.message).to eq("SSL_read: Bad file descriptor")
    ensure
      @ios.delete(one)
    end

    it "says what OpenSSL says about bytes that are no TLS" do
      server
      client.to_io.write("this is not a TLS record")
      # OpenSSL 3.5 has other words for it.
      words = /\ASSL_read: (wrong version|bad record type)/
      expect { machine.ssl_read(server, buffer, 10) }.to raise_error(UM::Error, words)
      expect(OpenSSL.errors).to eq([])
    end

    it "says what OpenSSL says before the handshake" do
      server, = fresh_tls_pair
      expect { machine.ssl_read(server, buffer, 10) }.to raise_error(UM::Error, /uninitialized/)
    end
  end

  describe "an interruption" do
    it "by timeout leaves the connection working" do
      expect { machine.timeout(0.01, stop) { machine.ssl_read(server, buffer, 10) } }.to raise_error(stop)
      expect(pending).to eq(0)
      expect_working
    end

    it "by schedule leaves the connection working" do
      fiber = parked { machine.ssl_read(server, buffer, 10) }
      machine.schedule(fiber, stop.new)
      expect(machine.join(fiber)).to be_a(stop)
      expect_working
    end

    it "by Fiber#raise leaves the connection working" do
      fiber = parked do
        machine.ssl_read(server, buffer, 10)
      rescue stop => e
        e
      end
      machine.spin { fiber.raise(stop.new) }
      expect(soon { machine.join(fiber) }).to be_a(stop)
      expect_working
    end

    it "with a plain value returns it" do
      fiber = parked { machine.ssl_read(server, buffer, 10) }
      machine.schedule(fiber, :value)
      expect(machine.join(fiber)).to eq(:value)
      expect_working
    end

    it "loses no bytes that came in meanwhile" do
      fiber = parked { machine.ssl_read(server, buffer, 10) }
      machine.ssl_write(client, "late", 0)
      machine.schedule(fiber, stop.new)
      machine.join(fiber)
      read = buffer.empty? ? ssl_read_all(server, 4) : buffer
      expect(read).to eq("late")
      expect_working
    end

    it "of a write leaves whole records behind" do
      bytes = pattern(3_000_000)
      expect { machine.timeout(0.01, stop) { machine.ssl_write(client, bytes, 0) } }.to raise_error(stop)
      reading = machine.spin { ssl_read_all(server) }
      machine.ssl_write(client, "end", 0)
      client.close
      got = soon { machine.join(reading) }
      expect(got.byteslice(-3..)).to eq("end")
      expect(bytes.start_with?(got.byteslice(0...-3))).to be(true)
    end

    it "of many writes leaves room for the next one" do
      outcomes = Array.new(60) do
        fiber = parked { machine.ssl_write(client, "x" * 16_384, 0) }
        machine.schedule(fiber, stop.new)
        machine.join(fiber)
      end
      expect(outcomes.last).to be_a(stop)
      reading = machine.spin { ssl_read_until(server, "the end") }
      expect(soon { machine.ssl_write(client, "the end", 0) }).to eq(7)
      expect(soon { machine.join(reading) }).to end_with("the end")
    end

    it "of who waits for another writer leaves both working" do
      writing = parked { machine.ssl_write(client, "a" * 2_000_000, 0) }
      waiting = parked { machine.ssl_write(client, "b", 0) }
      machine.schedule(waiting, stop.new)
      expect(machine.join(waiting)).to be_a(stop)
      expect(ssl_read_all(server, 2_000_000).delete("a")).to eq("")
      machine.join(writing)
      expect_working
    end
  end

  it "refuses a forked child what a fiber of the parent was about" do
    reading = parked { machine.ssl_read(server, buffer, 10) }
    from, into = IO.pipe.each { |io| keep_open(io) }
    pid = fork do
      own = UM.new
      into.write(error_of { own.timeout(2, :hangs) { own.ssl_read(server, +"", 10) } }&.message)
    ensure
      exit!
    end
    Process.wait(pid)
    into.close
    expect(from.read).to match(/parent process/)
    machine.ssl_write(client, "hello", 0)
    expect(machine.join(reading)).to eq(5)
  end

  it "tells those who wait that a thread has ended in the middle of a read" do
    ready = Queue.new
    thread = Thread.new do
      own = UM.new
      own.spin { own.ssl_read(server, +"", 10) }
      own.snooze
      ready << true
      sleep
    end
    ready.pop
    waiting = parked { machine.ssl_read(server, buffer, 10) }
    thread.kill.join
    expect { soon { raise machine.join(waiting) } }.to raise_error(UM::Error, /thread has died/)
  end

  describe "several fibers on one connection" do
    it "one may write while another one waits for data" do
      reading = parked { machine.ssl_read(server, buffer, 10) }
      machine.ssl_write(server, "from here", 0)
      expect(ssl_read_all(client, 9)).to eq("from here")
      machine.ssl_write(client, "and back", 0)
      expect([soon { machine.join(reading) }, buffer]).to eq([8, "and back"])
    end

    it "write one after another" do
      texts = %w[a b c].map { |letter| letter * 300_000 }
      fibers = texts.map { |text| machine.spin { machine.ssl_write(client, text, 0) } }
      expect(ssl_read_all(server, 900_000).squeeze).to eq("abc")
      expect(machine.join(fibers)).to eq([300_000] * 3)
    end

    it "share what comes" do
      fibers = Array.new(3) { parked { (+"").tap { |text| machine.ssl_read(server, text, 1) } } }
      machine.ssl_write(client, "xyz", 0)
      expect(soon { machine.join(fibers) }.sort).to eq(%w[x y z])
    end

    it "all learn that it has ended" do
      fibers = Array.new(3) { parked { machine.ssl_read(server, buffer, 1) } }
      client.close
      expect(soon { machine.join(fibers) }).to eq([0, 0, 0])
    end

    it "may belong to machines of different threads" do
      reading = parked { machine.ssl_read(server, buffer, 100) }
      other = Thread.new do
        second = UM.new
        waiting = second.spin { (+"").tap { |text| second.ssl_read(server, text, 100) } }
        second.snooze
        second.ssl_write(server, "x", 0)
        second.join(waiting)
      end
      expect(ssl_read_all(client, 1)).to eq("x")
      2.times { machine.ssl_write(client, "yy", 0) }
      expect(soon { machine.join(reading) }).to be_between(2, 4)
      machine.ssl_write(client, "zz", 0)
      expect(other.value).not_to be_empty
    end

    it "a callback can't call the connection that has called it" do
      errors = []
      one, other = plain_pair
      context = client_context
      context.session_cache_mode = OpenSSL::SSL::SSLContext::SESSION_CACHE_CLIENT
      context.session_new_cb = lambda do |(ssl, _session)|
        errors << error_of { machine.ssl_read(ssl, +"", 1) }
      end
      server = OpenSSL::SSL::SSLSocket.new(one, server_context)
      client = OpenSSL::SSL::SSLSocket.new(other, context)
      [server, client].each { |ssl| machine.ssl_set_bio(ssl) }
      shake_hands(server, client)
      machine.ssl_write(server, "x", 0)
      machine.ssl_read(client, buffer, 1)
      expect(errors.map(&:message).uniq).to eq(["called by a callback of the same SSLSocket"])
    end
  end

  describe "with the openssl program" do
    # Afterwards nothing of the handshake is on its way any more.
    def expect_greeting(program, client)
      program.puts("welcome")
      expect(soon { ssl_read_all(client, 8) }).to eq("welcome\n")
    end

    # Gives s_server a command, which is all that it looks at in what it reads at once.
    def command(program, letter, state)
      program.puts(letter)
      nil until program.gets.include?(state)
    end

    before { skip "no openssl program here" unless system("openssl", "version", out: File::NULL) }

    it "a client renegotiates TLS 1.2 while it waits for data" do
      openssl_server("-state", "-tls1_2") do |program, client|
        expect_greeting(program, client)
        reading = parked { machine.ssl_read(client, buffer, 100) }
        command(program, "r", "write hello request")
        program.puts("hello")
        expect([soon { machine.join(reading) }, buffer]).to eq([6, "hello\n"])
        machine.ssl_write(client, "goodbye\n", 0)
        expect(program.each_line).to include("goodbye\n")
      end
    end

    it "a client answers a key update of TLS 1.3 while it waits for data" do
      openssl_server("-state", "-tls1_3") do |program, client|
        expect_greeting(program, client)
        reading = parked { machine.ssl_read(client, buffer, 100) }
        command(program, "K", "write server key update")
        program.puts("hello")
        expect([soon { machine.join(reading) }, buffer]).to eq([6, "hello\n"])
        machine.ssl_write(client, "goodbye\n", 0)
        expect(program.each_line).to include("goodbye\n")
      end
    end

    it "a server talks to s_client" do
      listener = keep_open(TCPServer.new("127.0.0.1", 0))
      openssl("s_client", "-quiet", "-connect", "127.0.0.1:#{listener.addr[1]}") do |program|
        server = OpenSSL::SSL::SSLSocket.new(keep_open(listener.accept), server_context)
        machine.ssl_set_bio(server)
        server.accept
        program.puts("question")
        machine.ssl_read(server, buffer, 100)
        machine.ssl_write(server, "answer to #{buffer}", 0)
        expect(program.each_line).to include("answer to question\n")
      end
    end

    it "a peer that is killed is an error" do
      openssl_server do |program, client|
        reading = parked { machine.ssl_read(client, buffer, 100) }
        Process.kill(:KILL, program.pid)
        expect(soon { machine.join(reading) }).to be_a(UM::Error)
      end
    end
  end

  describe "an SSLServer" do
    it "serves with machine calls" do
      listener = keep_open(TCPServer.new("127.0.0.1", 0))
      tls = OpenSSL::SSL::SSLServer.new(listener, server_context)
      tls.start_immediately = false
      serving = machine.spin do
        machine.poll(listener.fileno, SpecSupport::MachineHelpers::POLLIN)
        connection = keep_open(tls.accept)
        machine.ssl_set_bio(connection)
        connection.accept
        machine.ssl_read(connection, buffer, 100)
        machine.ssl_write(connection, buffer.upcase, 0)
      end
      port = listener.addr[1]
      client = Thread.new do
        ssl = OpenSSL::SSL::SSLSocket.new(keep_open(TCPSocket.new("127.0.0.1", port)), client_context)
        ssl.connect
        ssl.write("hello")
        ssl.readpartial(100)
      end
      soon { machine.join(serving) }
      expect(client.value).to eq("HELLO")
    end
  end

  describe "garbage collection" do
    it "leaves reads, writes and interruptions alone", :gc do
      fiber = parked { machine.ssl_read(server, buffer, 10) }
      machine.schedule(fiber, stop.new)
      expect(machine.join(fiber)).to be_a(stop)
      reading = machine.spin { ssl_read_all(server, 2000) }
      machine.ssl_write(client, "x" * 2000, 0)
      expect(machine.join(reading)).to eq("x" * 2000)
    end

    it "frees connections, also with their machine" do
      pairs = Array.new(3) { tls_pair }
      pairs.each { |one, _| machine.ssl_write(one, "unread", 0) }
      pairs.clear
      GC.start
      expect_working
    end

    it "may move everything while a fiber waits" do
      reading = parked { machine.ssl_read(server, buffer, 10) }
      GC.compact if GC.respond_to?(:compact)
      machine.ssl_write(client, "moved", 0)
      expect([machine.join(reading), buffer]).to eq([5, "moved"])
    end
  end
end
