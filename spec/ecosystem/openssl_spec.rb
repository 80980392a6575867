# frozen_string_literal: true

require "digest"
require "openssl"
require_relative "../support/ecosystem"
require_relative "../support/tls"

RSpec.describe "OpenSSL" do
  include SpecSupport::TLS

  let(:listener) { TCPServer.new("127.0.0.1", 0) }
  let(:port) { listener.local_address.ip_port }
  let(:server) { OpenSSL::SSL::SSLServer.new(listener, server_context) }
  let(:client_context) { trusting_context }

  before { [server, client_context, port] }
  after { listener.close }

  def connect
    socket = OpenSSL::SSL::SSLSocket.new(TCPSocket.new("127.0.0.1", port), client_context)
    socket.sync_close = true
    socket.connect
    yield socket
  ensure
    socket.close
  end

  # Accepts so many, and calls the block for each in a fiber of its own.
  def accept(count)
    count.times do
      peer = server.accept
      Fiber.schedule do
        yield peer
      ensure
        peer.close
      end
    end
  end

  in_both_ways do
    it "speaks TLS between 20 clients and a server that answers when all have asked" do
      meeting = SpecSupport::Meeting.new(20)
      serving = lambda do
        accept(20) do |peer|
          line = peer.gets
          meeting.arrive
          peer.puts(line.upcase)
        end
      end
      asking = Array.new(20) do |number|
        -> { connect { |socket| socket.puts("hello #{number}") || socket.gets } }
      end
      _, *answers = together(serving, asking)
      expect(answers).to eq(Array.new(20) { |number| "HELLO #{number}\n" })
    end

    it "moves megabytes both ways at a time" do
      data = Random.bytes(1_000_000)
      echoing = lambda do
        accept(1) do |peer|
          received = 0
          while received < data.bytesize
            piece = peer.readpartial(16_384)
            received += piece.bytesize
            peer.write(piece)
          end
        end
      end
      writing = lambda do
        connect do |socket|
          Fiber.schedule { socket.write(data) }
          socket.read
        end
      end
      expect(Digest::SHA256.digest(together(echoing, writing).last)).to eq(Digest::SHA256.digest(data))
    end

    it "serves ten curls, which all wait for the last one" do
      meeting = SpecSupport::Meeting.new(10)
      serving = lambda do
        accept(10) do |peer|
          path = peer.gets.split[1]
          nil until peer.gets == "\r\n"
          meeting.arrive
          peer.write("HTTP/1.0 200 OK\r\nContent-Length: #{path.bytesize}\r\n\r\n#{path}")
        end
      end
      fetching = Array.new(10) do |number|
        -> { IO.popen(["curl", "-sSk", "--max-time", "20", "https://127.0.0.1:#{port}/#{number}"], &:read) }
      end
      _, *bodies = together(serving, fetching)
      expect(bodies).to eq(Array.new(10) { |number| "/#{number}" })
    end

    it "raises what the handshake finds, on both sides" do
      client_context.cert_store = OpenSSL::X509::Store.new
      refused = -> { error_of { server.accept } }
      refusing = -> { error_of { connect { nil } } }
      errors = together(refused, refusing)
      expect(errors).to all(be_a(OpenSSL::SSL::SSLError))
      expect(errors.last.message).to include("certificate verify failed")
    end
  end
end
