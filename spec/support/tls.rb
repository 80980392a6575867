# frozen_string_literal: true

require "openssl"
require_relative "certificate"
require_relative "machine_helpers"

module SpecSupport
  # TLS connections between SSLSockets of one process, and the openssl program as a peer. To be
  # included together with MachineHelpers.
  module TLS
    include Certificate

    def server_context
      OpenSSL::SSL::SSLContext.new.tap do |context|
        context.cert = CERTIFICATE
        context.key = KEY
      end
    end

    def client_context = OpenSSL::SSL::SSLContext.new

    # Of a client that knows the certificate, and no other.
    def trusting_context
      OpenSSL::SSL::SSLContext.new.tap do |context|
        context.verify_mode = OpenSSL::SSL::VERIFY_PEER
        context.cert_store = OpenSSL::X509::Store.new
        context.cert_store.add_cert(CERTIFICATE)
      end
    end

    # A connected pair of sockets, closed after the example.
    def plain_pair = UNIXSocket.pair.each { |socket| keep_open(socket) }

    # Two ends that have not shaken hands, server first, with BIOs of the machine.
    def fresh_tls_pair(sockets = plain_pair)
      contexts = [server_context, client_context]
      sockets.zip(contexts).map do |socket, context|
        OpenSSL::SSL::SSLSocket.new(socket, context).tap { |ssl| machine.ssl_set_bio(ssl) }
      end
    end

    # Two ends, server first.
    def tls_pair(...) = fresh_tls_pair(...).tap { |server, client| shake_hands(server, client) }

    def shake_hands(server, client)
      accepting = machine.spin { server.accept }
      client.connect
      machine.join(accepting)
    end

    # Reads so many bytes, or to the end.
    def ssl_read_all(ssl, count = Float::INFINITY)
      (+"".b).tap do |all|
        buffer = +""
        all << buffer.b while all.bytesize < count && machine.ssl_read(ssl, buffer, 100_000).positive?
      end
    end

    # Reads until the bytes end so.
    def ssl_read_until(ssl, ending)
      (+"".b).tap do |all|
        buffer = +""
        all << buffer.b while !all.end_with?(ending) && machine.ssl_read(ssl, buffer, 100_000).positive?
      end
    end

    # Runs `openssl s_server` or `s_client`; yields its pipe. The key and certificate are files.
    def openssl(*arguments)
      IO.popen(["openssl", *arguments], "r+", err: %i[child out]) do |program|
        yield program
      ensure
        Process.kill(:KILL, program.pid)
      end
    end

    # `openssl s_server` on a port of its own; yields its pipe, and a client that is connected to it.
    def openssl_server(*arguments)
      identity = ["-cert", file(CERTIFICATE.to_pem), "-key", "#{file(CERTIFICATE.to_pem)}.key"]
      File.write(identity.last, KEY.to_pem)
      openssl("s_server", "-accept", "127.0.0.1:0", *identity, *arguments) do |program|
        port = nil
        port = program.gets[/\AACCEPT.*:(\d+)/, 1] until port
        client = OpenSSL::SSL::SSLSocket.new(keep_open(TCPSocket.new("127.0.0.1", port)), client_context)
        machine.ssl_set_bio(client)
        yield program, client.connect
      end
    end

    def keep_open(io)
      (@ios ||= []) << io
      io
    end

    def close_ios = @ios&.each(&:close)

    def self.included(group)
      group.after { close_ios }
    end
  end
end
