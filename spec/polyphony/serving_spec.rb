# frozen_string_literal: true

require_relative "../support/polyphony"
require_relative "../support/tls"

# One client's fault is that client's.
RSpec.describe "A server", :polyphony do
  include SpecSupport::TLS

  peer_faults = [Errno::ECONNRESET, Errno::EPIPE, Errno::ECONNABORTED, Errno::ETIMEDOUT, Errno::ENOTCONN,
                 EOFError, IO::TimeoutError, OpenSSL::SSL::SSLError]

  let(:server) { TCPServer.new("127.0.0.1", 0) }
  let(:port) { server.local_address.ip_port }
  let(:errors) { [] }

  def connect = TCPSocket.new("127.0.0.1", port)

  # Core waits by the scheduler in a fiber only.
  def reading(socket) = interrupt_after(5) { spin { socket.read }.await }

  def reset(socket)
    socket.setsockopt(Socket::Option.linger(true, 0))
    socket.close
  end

  def keep_for_errors = ->(error, connection) { errors << [error, connection] }

  # Asks one client after the other; whether all of them, and a new one, are answered.
  def answers?(*clients)
    interrupt_after(5) do
      spin do
        [*clients, connect].all? { |client| client.puts("ping") || client.gets == "ping\n" }
      end.await
    end
  end

  # A fiber that runs a loop of this server, with handlers that echo lines, but for one that a client
  # asks to fail: they call the block.
  def serving(**options)
    spin do
      server.accept_loop(**options) do |connection|
        spin { connection.each_line { |line| line == "fail\n" ? yield(connection) : connection.puts(line) } }
      end
    end
  end

  # What is said on stderr meanwhile.
  def reported
    before = $stderr
    $stderr = StringIO.new
    yield
    $stderr.string
  ensure
    $stderr = before
  end

  before { Thread.current.report_on_exception = false }

  after { Polyphony.on_error = nil }

  describe "whose handlers are fibers" do
    [*peer_faults, RuntimeError, NotImplementedError, SystemStackError, Polyphony::Cancel].each do |failure|
      it "goes on where one of them fails with #{failure}, whose connection is closed" do
        accepting = serving { raise failure }
        good = connect
        bad = connect
        bad.puts("fail")
        expect([reading(bad), answers?(good), accepting.state]).to eq(["", true, :waiting])
      end
    end

    it "goes on in the root fiber" do
      finished = spin do
        bad = connect
        bad.puts("fail")
        reading(bad).tap { server.shutdown }
      end
      server.accept_loop { |connection| spin { raise connection.gets } }
      expect(finished.await).to eq("")
    end

    it "goes on after clients were cut in the middle of whatever" do
      accepting = serving { |connection| connection.write("x" * 10_000_000) }
      good = connect
      20.times do |index|
        client = connect
        client.puts(index.even? ? "ping" : "fail")
        spin { client.readpartial(3) }.await
        reset(client)
      end
      expect([answers?(good), accepting.state]).to eq([true, :waiting])
    end

    it "ends a handler by what its own fibers fail with, unless it rescues that" do
      accepting = serving do |connection|
        spin { raise Errno::ECONNRESET }
        sleep
      rescue Errno::ECONNRESET
        connection.puts("rescued")
        spin { raise "failed" }.await
      end
      client = connect
      client.puts("fail")
      expect([reading(client), accepting.state]).to eq(["rescued\n", :waiting])
    end

    it "reports a peer in a line, and other errors with their backtrace" do
      Thread.current.report_on_exception = true
      serving { |connection| raise connection.gets == "peer\n" ? EOFError : "failed" }
      lines = %w[peer self].map do |kind|
        client = connect
        client.puts("fail", kind)
        reported { reading(client) }
      end
      expect(lines.first).to match(/\A#<Fiber.*: connection lost: EOFError\n\z/)
      expect(lines.last).to match(/\A#<Fiber.*connection is closed: .*serving_spec.*failed \(RuntimeError\)/)
    end

    it "reports nothing where threads are silent" do
      serving { raise "failed" }
      client = connect
      client.puts("fail")
      expect(reported { reading(client) }).to eq("")
    end

    it "leaves a failure to who awaits the handler" do
      handler = nil
      accepting = spin do
        server.accept_loop { |connection| handler = spin { connection.gets && raise("failed") } }
      end
      client = connect
      snooze until handler
      waiting = spin { handler.await }
      snooze
      client.puts("x")
      expect { waiting.await }.to raise_error("failed")
      expect(accepting.state).to eq(:waiting)
    end

    it "leaves it to a supervisor" do
      accepting = spin do
        supervising = Fiber.current
        spin { server.accept_loop { |connection| supervising.spin { raise connection.gets } } }
        supervise(on_error: ->(_, error) { errors << error.message })
      end
      client = connect
      client.puts("failed")
      expect(interrupt_after(5) { snooze until errors.any? || accepting.done? }).to be_nil
      expect([errors, accepting.state]).to eq([["failed\n"], :waiting])
    end

    it "keeps a handler that begins anew a handler" do
      rounds = 0
      accepting = spin do
        server.accept_loop do |connection|
          spin { (rounds += 1) == 1 ? raise(Polyphony::Restart) : raise(connection.gets) }
        end
      end
      client = connect
      client.puts("failed")
      expect([reading(client), rounds, accepting.state]).to eq(["", 2, :waiting])
    end

    it "has handlers of the outer connection and of one within" do
      inner = TCPServer.new("127.0.0.1", 0)
      serving do |connection|
        client = spin { TCPSocket.new("127.0.0.1", inner.local_address.ip_port).read }
        inner.accept_loop { |data| break spin { data.write("data") && raise("failed") } }
        connection.write(client.await)
        raise "failed, too"
      end
      client = connect
      client.puts("fail")
      expect([reading(client), answers?]).to eq(["data", true])
    end

    it "lets go of one that is attached to another fiber" do
      accepting = spin do
        root = Fiber.current
        spin { server.accept_loop { |connection| spin { raise connection.gets }.attach_to(root) } }
        sleep
      end
      connect.puts("failed")
      expect { interrupt_after(5) { accepting.await } }.to raise_error("failed\n")
    end

    it "ends with what no rescue catches, and by exit" do
      accepting = serving { raise Class.new(Exception), "assertion" } # rubocop:disable Lint/InheritException
      connect.puts("fail")
      expect { interrupt_after(5) { accepting.await } }.to raise_error(Exception, "assertion")
      outcome = ruby_program(<<~RUBY)
        require "polyphony"
        server = TCPServer.new("127.0.0.1", 0)
        spin { TCPSocket.new("127.0.0.1", server.local_address.ip_port).read }
        server.accept_loop { spin { exit 3 } }
      RUBY
      expect([outcome.status.exitstatus, outcome.stderr]).to eq([3, ""])
    end

    it "ends with a child that is no handler" do
      accepting = spin do
        spin { snooze.then { raise Errno::ECONNRESET } }
        server.accept_loop { nil }
      end
      expect { interrupt_after(5) { accepting.await } }.to raise_error(Errno::ECONNRESET)
    end

    it "serves in a thread that has no machine yet" do
      thread = Thread.new do
        Thread.current.report_on_exception = false
        server.accept_loop { |connection| spin { connection.gets && raise("failed") } }
      end
      client = connect
      client.puts("x")
      expect([reading(client), thread.alive?]).to eq(["", true])
      server.shutdown
      expect(spin { thread.value }.await).to be_nil
    end

    it "is there with the collector at work", :gc do
      accepting = serving { raise "failed" }
      3.times do
        client = connect
        client.puts("fail")
        expect(reading(client)).to eq("")
      end
      expect(accepting.state).to eq(:waiting)
    end
  end

  describe "with on_error" do
    it "calls it with the error and the connection, which may be answered and is closed then" do
      serving(on_error: lambda { |error, connection|
        errors << error.message
        snooze
        connection.puts("500")
      }) { raise "failed" }
      client = connect
      client.puts("fail")
      expect([reading(client), errors]).to eq(["500\n", ["failed"]])
    end

    it "calls it for peers, too, and with the error alone if it takes no more" do
      serving(on_error: ->(error) { errors << Polyphony.peer_fault?(error) }) { raise EOFError }
      client = connect
      client.puts("fail")
      expect([reading(client), errors]).to eq(["", [true]])
    end

    it "ends with what that raises" do
      accepting = serving(on_error: ->(error) { raise ArgumentError, error.message }) { raise "failed" }
      client = connect
      client.puts("fail")
      expect { interrupt_after(5) { accepting.await } }.to raise_error(ArgumentError, "failed")
      expect(reading(client)).to eq("")
    end

    it "calls that of all loops where it has none" do
      Polyphony.on_error { |error, connection| errors << [error.message, connection.class] }
      serving { raise "failed" }
      client = connect
      client.puts("fail")
      expect([reading(client), errors]).to eq(["", [["failed", TCPSocket]]])
      Polyphony.on_error = nil
      expect(Polyphony.on_error).to be_nil
    end

    it "may be ended while it waits in there" do
      told = false
      accepting = serving(on_error: ->(_) { (told = true) && sleep }) { raise "failed" }
      client = connect
      client.puts("fail")
      snooze until told
      3.times { snooze }
      accepting.terminate
      expect([interrupt_after(5) { accepting.await }, reading(client)]).to eq([nil, ""])
    end
  end

  describe "whose block is the handler" do
    def serving_inline(**options)
      spin do
        server.accept_loop(**options) do |connection|
          yield(connection) if connection.gets == "fail\n"
          connection.puts("ping")
          connection.close
        end
      end
    end

    peer_faults.each do |failure|
      it "closes the connection at #{failure}, and goes on" do
        accepting = serving_inline { raise failure }
        client = connect
        client.puts("fail")
        expect([reading(client), answers?, accepting.state]).to eq(["", true, :waiting])
      end
    end

    it "goes on after a reset" do
      accepting = serving_inline { |connection| connection.write("x" * 10_000_000) }
      client = connect
      client.puts("fail")
      spin { client.readpartial(3) }.await
      reset(client)
      expect([answers?, accepting.state]).to eq([true, :waiting])
    end

    it "goes on where a fiber that it awaits was cut, or one of that" do
      serving_inline { spin { raise Errno::EPIPE }.await }
      client = connect
      client.puts("fail")
      expect([reading(client), answers?]).to eq(["", true])
      client = connect
      client.puts("x")
      expect(reading(client)).to eq("ping\n")
    end

    it "is left by its own errors, as any block" do
      accepting = serving_inline { raise "failed" }
      connect.puts("fail")
      expect { interrupt_after(5) { accepting.await } }.to raise_error("failed")
    end

    it "is not left by them with on_error" do
      serving_inline(on_error: keep_for_errors) { raise "failed" }
      client = connect
      client.puts("fail")
      expect([reading(client), answers?]).to eq(["", true])
      expect(errors).to match([[have_attributes(message: "failed"), be_closed]])
    end

    it "is left by what comes from elsewhere" do
      accepting = serving_inline { sleep }
      connect.puts("fail")
      snooze until accepting.state == :waiting
      accepting.raise(Errno::EPIPE)
      expect { interrupt_after(5) { accepting.await } }.to raise_error(Errno::EPIPE)
      accepting = spin do
        spin { sleep(0.01) && raise(Errno::EPIPE) }
        server.accept_loop { sleep }
      end
      connect
      expect { interrupt_after(5) { accepting.await } }.to raise_error(Errno::EPIPE)
    end

    it "is left by break, with a value" do
      accepting = spin { server.accept_loop(on_error: keep_for_errors) { break :left } }
      connect
      expect(interrupt_after(5) { accepting.await }).to eq(:left)
    end
  end

  describe "that speaks TLS" do
    def tls_serving(**, &)
      tls = OpenSSL::SSL::SSLServer.new(server, server_context)
      spin { tls.accept_loop(**, &) }
    end

    def tls_client
      OpenSSL::SSL::SSLSocket.new(connect, client_context).tap { |ssl| spin { ssl.connect }.await }
    end

    def tls_answer(text)
      client = tls_client
      spin { client.puts(text).then { client.gets } }.await
    end

    it "goes on where handshakes fail" do
      accepting = tls_serving { |ssl| spin { ssl.puts(ssl.gets) } }
      connect.puts("no TLS")
      reset(connect)
      refusing = OpenSSL::SSL::SSLSocket.new(connect, OpenSSL::SSL::SSLContext.new.tap(&:set_params))
      expect { spin { refusing.connect }.await }.to raise_error(OpenSSL::SSL::SSLError)
      expect([tls_answer("ping"), accepting.state]).to eq(["ping\n", :waiting])
    end

    it "goes on where handlers fail, in fibers and in the block itself" do
      [->(ssl) { spin { raise ssl.gets } }, ->(ssl) { raise EOFError, ssl.gets }].each do |handler|
        accepting = tls_serving(on_error: keep_for_errors, &handler)
        expect([tls_answer("one"), tls_answer("two"), accepting.state]).to eq([nil, nil, :waiting])
        accepting.terminate
        accepting.await
      end
      expect(errors.map { |error, _| error.message }).to eq(%W[one\n two\n one\n two\n])
      expect(errors.map(&:last)).to all(be_closed)
    end
  end

  # The rule for `accept` comes with that for the root fiber, which these specs don't load.
  describe "that accepts by hand" do
    def by_hand(failure)
      ruby_program(<<~RUBY)
        require "polyphony"
        require "openssl"
        server = TCPServer.new("127.0.0.1", 0)
        accepting = spin do
          while (connection = server.accept)
            spin(connection) { |socket| (socket = connection) && socket.gets && raise(#{failure}) }
          end
        end
        socket = TCPSocket.new("127.0.0.1", server.local_address.ip_port)
        socket.puts("x")
        sleep 0.05
        p accepting.state
      RUBY
    end

    peer_faults.each do |failure|
      it "goes on where a fiber that it has started fails with #{failure}" do
        expect(by_hand(failure).stdout).to eq(":waiting\n")
      end
    end

    it "gets other errors of such fibers, as any parent" do
      expect(by_hand("'failed'").stderr).to include("failed (RuntimeError)")
    end
  end

  it "knows what peers can bring about" do
    expect(peer_faults.map { |error| Polyphony.peer_fault?(error.new) }).to all(be(true))
    others = [RuntimeError.new, IOError.new, Errno::ECONNREFUSED.new, Errno::ENOSPC.new, Timeout::Error.new]
    expect(others.map { |error| Polyphony.peer_fault?(error) }).to all(be(false))
  end
end
