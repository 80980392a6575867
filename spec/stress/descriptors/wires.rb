# frozen_string_literal: true

require "openssl"
require "socket"
require "tempfile"
require_relative "../../support/certificate"

module DescriptorStress
  # Connected pairs: our end, which is under test, and the other one. A file has no other end.
  module Wires
    Wire = Struct.new(:kind, :ours, :theirs)

    CONTEXTS = [OpenSSL::SSL::SSLContext.new, OpenSSL::SSL::SSLContext.new].tap do |server, _|
      server.cert = SpecSupport::Certificate::CERTIFICATE
      server.key = SpecSupport::Certificate::KEY
    end.each(&:freeze)
    LINGER = [1, 0].pack("ii")
    LISTENING = Thread::Mutex.new

    module_function

    # Ours reads (:source) or writes (:destination).
    def open(plan, kind, role, content)
      io, theirs = public_send(kind, role, content)
      shrink(io, theirs) if plan.tiny_buffers
      Wire.new(kind, Handle.new(io, by_number: plan.by_number?(role)), theirs)
    end

    def shrink(*ends)
      ends.grep(BasicSocket).each do |socket|
        socket.setsockopt(:SOCKET, :SNDBUF, 4096)
        socket.setsockopt(:SOCKET, :RCVBUF, 4096)
      end
    end

    def unix(_role, _content) = UNIXSocket.pair

    # One at a time, so that each accepts the one it has connected.
    def tcp(_role, _content)
      LISTENING.synchronize do
        @listener ||= TCPServer.new("127.0.0.1", 0)
        theirs = TCPSocket.new("127.0.0.1", @listener.local_address.ip_port)
        [@listener.accept, theirs]
      end
    end

    def pipe(role, _content)
      reader, writer = IO.pipe.each(&:binmode)
      role == :source ? [reader, writer] : [writer, reader]
    end

    # Nobody but these two knows it.
    def file(role, content)
      file = Tempfile.create("stress").binmode
      role == :source ? file.write(content) : nil
      file.rewind
      theirs = File.open(file.path, "rb")
      File.delete(file.path)
      [file, theirs]
    end

    def tls(_role, _content)
      ours, theirs = UNIXSocket.pair.zip(CONTEXTS).map do |socket, context|
        OpenSSL::SSL::SSLSocket.new(socket, context).tap { |ssl| ssl.sync_close = true }
      end
      accepting = spin { ours.accept }
      theirs.connect
      accepting.await
      [ours, theirs]
    end

    # The next close is a reset.
    def reset_by(io)
      io.setsockopt(:SOCKET, :LINGER, LINGER) if io.is_a?(TCPSocket)
    end

    def close_listener
      @listener&.close
      @listener = nil
    end
  end
end
