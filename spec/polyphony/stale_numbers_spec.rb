# frozen_string_literal: true

require "openssl"
require_relative "../support/polyphony"
require_relative "../support/tls"

# Minimal cases of what spec/stress/descriptors.rb has found.
RSpec.describe "an end that is closed or interrupted under way", :polyphony do
  def tls_pair
    context = OpenSSL::SSL::SSLContext.new
    context.cert = SpecSupport::TLS::CERTIFICATE
    context.key = SpecSupport::TLS::KEY
    server, client = UNIXSocket.pair.zip([context, OpenSSL::SSL::SSLContext.new]).map do |socket, with|
      OpenSSL::SSL::SSLSocket.new(socket, with).tap { |ssl| ssl.sync_close = true }
    end
    Fiber.await(spin { server.accept }, spin { client.connect })
  end

  it "leaves the number of a closed SSLSocket to the next file" do
    server, client = tls_pair
    server.close
    heirs = UNIXSocket.pair
    heirs.each { |socket| socket.write("secret") }
    expect { server.readpartial(10) }.to raise_error(IOError)
    expect { server.syswrite("x") }.to raise_error(IOError)
    expect(heirs.map { |socket| socket.read_nonblock(100) }).to eq(%w[secret secret])
    [client, *heirs].each(&:close)
  end

  it "gives back to an SSLSocket what the destination has refused" do
    source, feeder = tls_pair
    dest, sink = UNIXSocket.pair
    sink.close
    feeder.write("x" * 5000)
    expect { IO.splice(source, dest) }.to raise_error(Errno::EPIPE)
    feeder.close
    expect(source.read.bytesize).to eq(5000)
    [source, dest].each(&:close)
  end

  it "passes the end on behind what an SSLSocket has kept back" do
    dest, sink = tls_pair
    dest.sync = false
    feeder, source = UNIXSocket.pair
    feeder.write("hello")
    feeder.close
    receiving = spin { sink.read }
    IO.double_splice(source, dest)
    expect(interrupt_after(5) { receiving.await }).to eq("hello")
    [source, dest, sink].each(&:close)
  end

  it "writes nothing twice of what Ruby has kept back, when a flush is interrupted" do
    dest, sink = UNIXSocket.pair
    dest.sync = false
    bytes = random_bytes(4000)
    dest.write(bytes)
    flushing = spin do
      dest.flush
    rescue SpecSupport::InPolyphony::Interrupted => e
      e
    end
    snooze
    Polyphony.machine.schedule(flushing, SpecSupport::InPolyphony::Interrupted.new)
    flushing.await
    dest.close
    expect(sink.read).to eq(bytes)
    sink.close
  end

  it "ends a gets whose IO another thread closes, and keeps its memory until the kernel is done" do
    50.times do
      feeder, source = UNIXSocket.pair
      reading = spin do
        source.gets
      rescue IOError => e
        e
      end
      snooze
      closing = Thread.new { source.close }
      feeder.write_nonblock("x" * 4000, exception: false)
    rescue Errno::EPIPE
      nil
    ensure
      closing.join
      expect(interrupt_after(5) { reading.await }).to be_a(IOError)
      feeder.close
    end
  end
end
