# frozen_string_literal: true

require "openssl"
require_relative "../support/polyphony"
require_relative "../support/tls"

RSpec.describe "sockets under Polyphony", :polyphony do
  include SpecSupport::TLS

  let(:trusting) { trusting_context }

  def port_of(server) = server.to_io.local_address.ip_port

  # A server of the block's kind that is closed afterwards; its port.
  def listening(**)
    server = Polyphony::Net.tcp_listen("127.0.0.1", 0, **)
    yield server, port_of(server)
  ensure
    server&.close
  end

  # A fiber that serves: each client gets the lines that the block gives.
  def answering(server, **)
    spin do
      server.accept_loop(**) do |peer|
        spin do
          peer.puts(*yield(peer))
          peer.close
        end
      end
    end
  end

  describe "options by name" do
    it "are set, and give the socket back" do
      listening do |server|
        socket = TCPSocket.new("127.0.0.1", port_of(server))
        expect(socket.no_delay.dont_linger.reuse_addr.reuse_port).to equal(socket)
        set = [%i[TCP NODELAY], %i[SOCKET REUSEADDR], %i[SOCKET REUSEPORT]]
        expect(set.map { |level, name| socket.getsockopt(level, name).bool }).to eq([true] * 3)
        expect(socket.getsockopt(:SOCKET, :LINGER).linger).to eq([false, 0])
        socket.close
      end
    end

    it "raise on a socket that has no such option, and on a closed one" do
      UNIXSocket.pair.each do |socket|
        expect { socket.no_delay }.to raise_error(SocketError)
        socket.close
        expect { socket.reuse_addr }.to raise_error(IOError)
      end
    end
  end

  describe "Polyphony::Net.tcp_listen and tcp_connect" do
    it "give a server and a client" do
      listening(reuse_addr: true, dont_linger: true, backlog: 5) do |server, port|
        spin { server.accept.then { |peer| (peer << "welcome").close } }
        client = Polyphony::Net.tcp_connect("localhost", port)
        expect([server, client].map(&:class)).to eq([TCPServer, TCPSocket])
        expect(spin { client.read }.await).to eq("welcome")
        client.close
      end
    end

    it "let several servers listen on a port with reuse_port" do
      listening(reuse_port: true) do |_, port|
        again = Polyphony::Net.tcp_listen("127.0.0.1", port, reuse_port: true)
        expect(port_of(again)).to eq(port)
        again.close
        expect { Polyphony::Net.tcp_listen("127.0.0.1", port) }.to raise_error(Errno::EADDRINUSE)
      end
    end

    it "take IPv6, and no host for all" do
      server = Polyphony::Net.tcp_listen(nil, 0)
      expect(server.local_address.ip_address).to eq("0.0.0.0")
      server.close
      server = Polyphony::Net.tcp_listen("::1", 0)
      expect(server.local_address.ip_address).to eq("::1")
      server.close
    end

    it "refuse a server without a port, and what nobody listens on" do
      expect { Polyphony::Net.tcp_listen("127.0.0.1") }.to raise_error(ArgumentError, "no port given")
      port = listening { |_, free| free }
      expect { Polyphony::Net.tcp_connect("127.0.0.1", port) }.to raise_error(Errno::ECONNREFUSED)
    end

    it "speak TLS, with the protocol that both know" do
      listening(secure_context: server_context, alpn_protocols: %w[h2 echo]) do |server, port|
        serving = answering(server) { |peer| [peer.gets, peer.alpn_protocol] }
        options = { secure_context: trusting, alpn_protocols: %w[echo h1] }
        client = Polyphony::Net.tcp_connect("localhost", port, options)
        client.puts "hello"
        expect(spin { client.read }.await).to eq("hello\necho\n")
        client.close
        server.close
        serving.await
      end
    end

    it "check the server's certificate with secure: true, and leave no socket behind" do
      listening(secure_context: server_context) do |server, port|
        serving = spin { server.accept_loop(&:close) }
        before = open_descriptors
        5.times do
          connect = -> { Polyphony::Net.tcp_connect("localhost", port, secure: true) }
          expect(&connect).to raise_error(OpenSSL::SSL::SSLError)
        end
        sleep 0.001 until open_descriptors <= before + 1
        server.close
        serving.await
      end
    end
  end

  describe "accept_loop of a TLS server" do
    def connect(port)
      socket = OpenSSL::SSL::SSLSocket.new(TCPSocket.new("127.0.0.1", port), trusting)
      socket.sync_close = true
      socket.hostname = "localhost"
      spin { socket.connect }.await
    end

    def talk(port)
      client = connect(port)
      client.puts("hello")
      spin { client.gets }.await
    ensure
      client&.close
    end

    def echoing(server, **) = answering(server, **, &:gets)

    it "serves while another client doesn't finish its handshake" do
      listening(secure_context: server_context) do |server, port|
        serving = echoing(server)
        silent = TCPSocket.new("127.0.0.1", port)
        expect(Array.new(3) { talk(port) }).to eq(["hello\n"] * 3)
        server.close
        expect(serving.await).to be_nil
        expect(spin { silent.read }.await).to eq("")
        silent.close
      end
    end

    it "leaves out a client that fails" do
      listening(secure_context: server_context) do |server, port|
        serving = echoing(server)
        wrong = TCPSocket.new("127.0.0.1", port)
        wrong << "GET / HTTP/1.1\r\n\r\n"
        wrong.close
        expect(talk(port)).to eq("hello\n")
        server.close
        serving.await
      end
    end

    it "raises a client's failure when told so" do
      listening(secure_context: server_context) do |server, port|
        serving = echoing(server, ignore_errors: false)
        wrong = TCPSocket.new("127.0.0.1", port)
        wrong << "GET / HTTP/1.1\r\n\r\n"
        expect { serving.await }.to raise_error(OpenSSL::SSL::SSLError)
        wrong.close
      end
    end

    it "can be left, and interrupted, and closing leaves no socket behind" do
      before = open_descriptors
      listening(secure_context: server_context) do |server, port|
        silent = TCPSocket.new("127.0.0.1", port)
        connecting = spin { connect(port) }
        server.accept_loop { |peer| break peer.close }
        connecting.await.close
        expect { interrupt_after(0.02) { server.accept_loop { nil } } }
          .to raise_error(SpecSupport::InPolyphony::Interrupted)
        server.close
        expect(spin { silent.read }.await).to eq("")
        silent.close
      end
      sleep 0.001 until open_descriptors <= before
    end

    it "needs a block" do
      listening(secure_context: server_context) do |server|
        expect { server.accept_loop }.to raise_error(ArgumentError)
      end
    end
  end
end
