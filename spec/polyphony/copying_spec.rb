# frozen_string_literal: true

require "io/console"
require "pty"
require_relative "../support/polyphony"
require_relative "../support/tls"

# What can't be spliced is copied.
RSpec.describe "transfers between ends that can't be spliced", :polyphony do
  include SpecSupport::TLS

  # Of 1.2, where a server that only reads sends nothing that its client would leave unread.
  def tls_over(sockets)
    contexts = [server_context, client_context].each { |it| it.max_version = OpenSSL::SSL::TLS1_2_VERSION }
    server, client = sockets.zip(contexts).map do |socket, context|
      OpenSSL::SSL::SSLSocket.new(socket, context)
    end
    Fiber.await(spin { server.accept }, spin { client.connect })
    [server, client].each { |ssl| ssl.sync_close = true }
  end

  %i[splice double_splice].each do |transfer|
    describe "IO.#{transfer}" do
      it "appends a file to a file that is open for appending" do
        log = temporary_file("before, ")
        File.open(log.path, "ab") do |file|
          expect(IO.public_send(transfer, temporary_file("behind"), file)).to eq(6)
        end
        expect(File.binread(log.path)).to eq("before, behind")
      end

      it "appends what comes through a socket, all of it and in order" do
        near, far = UNIXSocket.pair
        data = random_bytes(500_000)
        spin { far.write(data) && far.close }
        log = temporary_file("before")
        File.open(log.path, "ab") do |file|
          expect(IO.public_send(transfer, near, file)).to eq(data.bytesize)
        end
        expect(File.binread(log.path) == "before".b + data).to be(true)
      end

      it "appends what comes through a bare descriptor" do
        near, far = UNIXSocket.pair
        far.write("data")
        far.close
        log = temporary_file
        File.open(log.path, "ab") do |file|
          expect(IO.public_send(transfer, near.fileno, file.fileno)).to eq(4)
        end
        expect(File.binread(log.path)).to eq("data")
      end

      it "appends what comes through a pipe" do
        reader, writer = IO.pipe
        writer << "data"
        writer.close
        log = temporary_file("before ")
        File.open(log.path, "ab") { |file| IO.public_send(transfer, reader, file) }
        expect(File.binread(log.path)).to eq("before data")
      end

      it "raises ENOSPC for a device that is full, and a file's position is where it was" do
        file = temporary_file("abc")
        File.open("/dev/full", "wb") do |full|
          expect { IO.public_send(transfer, file, full) }
            .to raise_error(Errno::ENOSPC) { |error| expect(error.bytes_moved).to eq(0) }
        end
        expect(file.read).to eq("abc")
      end

      it "gives back to a socket what could not be written" do
        near, far = UNIXSocket.pair
        far.write("abc")
        File.open("/dev/full", "wb") do |full|
          expect { IO.public_send(transfer, near, full) }.to raise_error(Errno::ENOSPC)
        end
        expect(near.read_nonblock(10)).to eq("abc")
      end

      it "moves to a device that takes everything" do
        File.open(File::NULL, "wb") do |null|
          expect(IO.public_send(transfer, temporary_file("abc"), null)).to eq(3)
        end
      end

      it "raises for a directory" do
        File.open("/") do |folder|
          expect { IO.public_send(transfer, folder, temporary_file) }.to raise_error(SystemCallError)
        end
      end

      it "encrypts what goes to an SSLSocket, and decrypts what comes from one" do
        server, client = spin { tls_over(tcp_pair) }.await
        data = random_bytes(300_000)
        copy = temporary_file
        sending = spin { IO.public_send(transfer, temporary_file(data), client) && client.close }
        receiving = spin { IO.public_send(transfer, server, copy) }
        expect(Fiber.await(sending, receiving).last).to eq(data.bytesize)
        expect(File.binread(copy.path) == data).to be(true)
      end
    end
  end

  it "stops copying at the limit" do
    copy = temporary_file
    File.open("/dev/zero", "rb") { |zero| expect(IO.double_splice(zero, copy, 100_000)).to eq(100_000) }
    expect(File.binread(copy.path) == "\0" * 100_000).to be(true)
  end

  it "moves from and to a terminal" do
    terminal, program = PTY.open
    terminal.raw!
    copy = temporary_file
    program.write("typed")
    expect(IO.double_splice(terminal, copy, 5)).to eq(5)
    expect(File.binread(copy.path)).to eq("typed")
    expect(IO.double_splice(temporary_file("shown"), program)).to eq(5)
    expect(spin { terminal.readpartial(100) }.await).to eq("shown")
  end

  it "waits for a terminal without holding up the others" do
    terminal, program = PTY.open
    program.raw!
    copy = temporary_file
    moving = spin { IO.double_splice(program, copy, 5) }
    3.times { snooze }
    expect(moving).not_to be_done
    terminal.write("typed")
    expect(moving.await).to eq(5)
    expect(File.binread(copy.path)).to eq("typed")
  end

  it "makes a proxy between TLS and plain connections, each end of which is passed on" do
    spin do
      inside, client = tls_over(tcp_pair)
      upstream, backend = UNIXSocket.pair
      proxying = spin { Polyphony.proxy(inside, upstream) }
      client.write("request")
      client.__send__(:stop)
      expect(backend.read).to eq("request")
      backend.write("answer")
      backend.close_write
      expect(client.read).to eq("answer")
      expect(proxying.await).to eq([7, 6])
    end.await
  end

  it "ends both ways of such a proxy when one of them fails, and says how far they have come" do
    spin do
      inside, client = tls_over(tcp_pair)
      upstream, backend = UNIXSocket.pair
      proxying = spin { Polyphony.proxy(upstream, inside) }
      client.write("request")
      backend.readpartial(100)
      backend.close
      upstream.close
      expect { proxying.await }.to raise_error(IOError) { |error| expect(error.bytes_moved).to eq([0, 7]) }
      expect(proxying.children).to be_empty
    end.await
  end

  it "leaves nothing open and nothing out after 100 copies were ended at some moment", time_limit: 60 do
    data = random_bytes(300_000)
    before = open_descriptors
    100.times do |round|
      near, far = UNIXSocket.pair
      log = temporary_file
      appending = File.open(log.path, "ab")
      writer = spin { far.write(data) && far.close }
      moving = spin { IO.double_splice(near, appending) }
      (round % 13).times { snooze }
      Polyphony.machine.schedule(moving, Polyphony::Terminate.new)
      Polyphony.machine.await(moving)
      rest = spin { near.read }.await
      writer.await
      expect(File.binread(log.path) + rest == data).to be(true), "round #{round}"
      [near, appending, log].each(&:close)
    end
    expect(open_descriptors).to be <= before # the collector may close others
  end

  it "copies with the collector at work", :gc do
    log = temporary_file("before ")
    File.open(log.path, "ab") { |file| expect(IO.double_splice(temporary_file("data"), file)).to eq(4) }
    expect(File.binread(log.path)).to eq("before data")
  end
end
