# frozen_string_literal: true

require "digest"
require_relative "../support/polyphony"

RSpec.describe "IO.double_splice", :polyphony do
  # Reads to EOF in a fiber.
  def reading(io) = spin { io.read }

  def writing(io, data)
    spin do
      io.write(data)
      io.close_write
    end
  end

  def closed_pipe_with(data)
    reader, writer = IO.pipe
    writer << data
    writer.close
    reader
  end

  describe "to EOF" do
    it "moves a file to a file" do
      data = random_bytes(300_000)
      copy = temporary_file
      expect(IO.double_splice(temporary_file(data), copy)).to eq(data.bytesize)
      expect(File.binread(copy.path) == data).to be(true)
    end

    it "moves in a spun fiber" do
      copy = temporary_file
      expect(spin { IO.double_splice(temporary_file("abc"), copy) }.await).to eq(3)
      expect(File.binread(copy.path)).to eq("abc")
    end

    it "moves nothing from an empty file" do
      copy = temporary_file
      expect(IO.double_splice(temporary_file, copy)).to eq(0)
      expect(File.size(copy.path)).to eq(0)
    end

    it "moves in chunks" do
      copy = temporary_file
      expect(IO.double_splice(temporary_file("abcdefg"), copy, -3)).to eq(7)
      expect(File.binread(copy.path)).to eq("abcdefg")
    end

    it "moves from and to pipes" do
      reader, writer = IO.pipe
      expect(IO.double_splice(closed_pipe_with("abc"), writer)).to eq(3)
      writer.close
      expect(reader.read).to eq("abc")
    end

    it "moves from and to Polyphony's pipes, and closes the read end it has emptied" do
      source = Polyphony.pipe
      destination = Polyphony.pipe
      source << "abc"
      source.close
      before = open_descriptors
      expect(IO.double_splice(source, destination)).to eq(3)
      expect(open_descriptors).to eq(before - 1)
      expect(destination).not_to be_closed
      destination.close
      expect(destination.read).to eq("abc")
    end

    it "waits for a source that is slow" do
      source_reader, source_writer = IO.pipe
      reader, writer = IO.pipe
      moving = spin { IO.double_splice(source_reader, writer) }
      3.times do |number|
        source_writer << "piece #{number}"
        expect(spin { reader.readpartial(100) }.await).to eq("piece #{number}")
      end
      source_writer.close
      expect(moving.await).to eq(21)
    end
  end

  describe "with a limit" do
    it "moves no more, and leaves the rest in the source" do
      source_reader, source_writer = IO.pipe
      reader, writer = IO.pipe
      source_writer << "abcdef"
      expect(IO.double_splice(source_reader, writer, 4)).to eq(4)
      expect(reader.readpartial(10)).to eq("abcd")
      expect(source_reader.readpartial(10)).to eq("ef")
    end

    it "ends at EOF when less is there" do
      _reader, writer = IO.pipe
      expect(IO.double_splice(temporary_file("abc"), writer, 100)).to eq(3)
    end

    it "moves nothing for 0" do
      source_reader, source_writer = IO.pipe
      source_writer << "abc"
      _reader, writer = IO.pipe
      expect(IO.double_splice(source_reader, writer, 0)).to eq(0)
      expect(source_reader.readpartial(10)).to eq("abc")
    end

    it "leaves the position of a file behind what was moved" do
      file = temporary_file("#{"x" * 100_000}rest")
      copy = temporary_file
      expect(IO.double_splice(file, copy, 100_000)).to eq(100_000)
      expect(file.read).to eq("rest")
    end

    it "counts what Ruby has read ahead" do
      source_reader, source_writer = IO.pipe
      source_writer << "line\nahead"
      source_reader.gets
      source_writer << ", behind"
      reader, writer = IO.pipe
      expect(IO.double_splice(source_reader, writer, 8)).to eq(8)
      expect(reader.readpartial(100)).to eq("ahead, b")
    end
  end

  describe "what Ruby holds back" do
    it "moves what was read ahead first, and flushes the destination before" do
      source_reader, source_writer = IO.pipe
      source_writer << "line\nread ahead"
      source_reader.gets
      source_writer << ", the rest"
      source_writer.close
      file = temporary_file
      file.sync = false
      file.write("flushed, ")
      expect(IO.double_splice(source_reader, file)).to eq(20)
      expect(File.binread(file.path)).to eq("flushed, read ahead, the rest")
    end
  end

  describe "between sockets" do
    it "echoes on one socket, without shutting it" do
      near, far = tcp_pair
      echoing = spin { IO.double_splice(near, near, -8192) }
      data = random_bytes(200_000)
      writer = writing(far, data)
      expect(spin { far.read(data.bytesize) }.await == data).to be(true)
      writer.await
      expect(echoing.await).to eq(data.bytesize)
      near.write("still open")
      expect(spin { far.readpartial(100) }.await).to eq("still open")
    end

    it "passes the half-close on" do
      client, near = tcp_pair
      destination, far = tcp_pair
      client.write("request")
      client.close_write
      expect(IO.double_splice(near, destination)).to eq(7)
      expect(spin { far.read }.await).to eq("request")
      far.write("answer")
      expect(spin { destination.readpartial(100) }.await).to eq("answer")
    end

    it "leaves the half-close out when told so" do
      client, near = tcp_pair
      destination, far = tcp_pair
      client.close_write
      expect(IO.double_splice(near, destination, half_close: false)).to eq(0)
      expect(far.read_nonblock(1, exception: false)).to eq(:wait_readable)
    end

    it "doesn't pass a limit on as if it were EOF" do
      client, near = tcp_pair
      destination, far = tcp_pair
      client.write("request")
      expect(IO.double_splice(near, destination, 3)).to eq(3)
      expect(spin { far.readpartial(10) }.await).to eq("req")
      expect(far.read_nonblock(1, exception: false)).to eq(:wait_readable)
    end

    it "doesn't shut a socket after a file" do
      near, far = UNIXSocket.pair
      IO.double_splice(temporary_file("abc"), near)
      expect(far.readpartial(10)).to eq("abc")
      expect(far.read_nonblock(1, exception: false)).to eq(:wait_readable)
    end

    it "moves between UNIX sockets" do
      client, near = UNIXSocket.pair
      destination, far = UNIXSocket.pair
      client.write("data")
      client.close
      expect(IO.double_splice(near, destination)).to eq(4)
      expect(far.read).to eq("data")
    end

    it "moves 20 MB with the right checksum", time_limit: 60 do
      client, near = tcp_pair
      destination, far = tcp_pair
      data = random_bytes(20 * 1024 * 1024)
      writing(client, data)
      received = reading(far)
      expect(IO.double_splice(near, destination)).to eq(data.bytesize)
      expect(Digest::SHA256.digest(received.await)).to eq(Digest::SHA256.digest(data))
    end

    it "moves a file of 20 MB to a socket with the right checksum", time_limit: 60 do
      near, far = tcp_pair
      data = random_bytes(20 * 1024 * 1024)
      received = reading(far)
      expect(IO.double_splice(temporary_file(data), near)).to eq(data.bytesize)
      near.close
      expect(Digest::SHA256.digest(received.await)).to eq(Digest::SHA256.digest(data))
    end
  end

  describe "errors" do
    it "raises EPIPE when the destination reads no more" do
      reader, writer = IO.pipe
      reader.close
      file = temporary_file("abc")
      before = open_descriptors
      expect { IO.double_splice(file, writer) }.to raise_error(Errno::EPIPE)
      expect(open_descriptors).to eq(before)
    end

    it "raises ECONNRESET when the source is reset" do
      near, far = tcp_pair
      far.setsockopt(Socket::Option.linger(true, 0))
      far.close
      _reader, writer = IO.pipe
      before = open_descriptors
      expect { IO.double_splice(near, writer) }.to raise_error(Errno::ECONNRESET)
      expect(open_descriptors).to eq(before)
    end

    it "raises for closed ends and for what is no IO, and opens nothing" do
      closed, writer = IO.pipe
      closed.close
      before = open_descriptors
      expect { IO.double_splice(closed, writer) }.to raise_error(IOError)
      expect { IO.double_splice(writer, closed) }.to raise_error(IOError)
      expect { IO.double_splice("text", writer) }.to raise_error(TypeError)
      expect { IO.double_splice(writer, writer, :much) }.to raise_error(TypeError)
      expect(open_descriptors).to eq(before)
    end

    it "raises for the wrong number of arguments" do
      expect { IO.double_splice($stdin) }.to raise_error(ArgumentError)
    end
  end

  describe "cancelled" do
    let(:interrupted) { SpecSupport::InPolyphony::Interrupted }

    it "raises while it waits for the source, and leaves no pipe open" do
      source_reader, = IO.pipe
      _reader, writer = IO.pipe
      before = open_descriptors
      expect { interrupt_after(0.01) { IO.double_splice(source_reader, writer) } }.to raise_error(interrupted)
      expect(open_descriptors).to eq(before)
    end

    it "waits for a socket that reads slowly and sends no more, without asking over and over" do
      near, far = tcp_pair
      far.close_write
      moving = spin { IO.double_splice(temporary_file(random_bytes(20_000_000)), near) }
      machine = Polyphony.machine
      snooze until machine.pending.any? { |wait| wait.op == :poll && wait.fd == near.fileno }
      5.times { spin { sleep 0.005 }.await }
      before = machine.metrics[:total_ops]
      20.times { spin { sleep 0.001 }.await }
      expect(machine.metrics[:total_ops] - before).to be < 200
      received = spin { far.read(20_000_000) }.await
      expect([received.bytesize, moving.await]).to eq([20_000_000, 20_000_000])
    end

    it "raises while it waits for the destination, and leaves no pipe open" do
      _reader, writer = IO.pipe
      file = temporary_file(random_bytes(500_000))
      before = open_descriptors
      expect { interrupt_after(0.01) { IO.double_splice(file, writer) } }.to raise_error(interrupted)
      expect(open_descriptors).to eq(before)
    end

    it "leaves no pipe open after 200 fibers were ended at some moment", time_limit: 60 do
      data = random_bytes(200_000)
      before = open_descriptors
      # In pipes, sockets and files at various stages: not begun, waiting, moving, done.
      200.times do |round|
        near, far = UNIXSocket.pair
        source = round.even? ? near : temporary_file(data)
        moving = spin { IO.double_splice(source, near) }
        writer = spin { far.write(data[0, 1000 * round]) }
        (round % 7).times { snooze }
        [moving, writer].each { |fiber| Polyphony.machine.schedule(fiber, Polyphony::Terminate.new) }
        Polyphony.machine.await(moving, writer)
        [near, far].each(&:close)
        source.close unless source.closed?
      end
      expect(open_descriptors).to eq(before)
    end

    it "keeps the count right when a plain value comes" do
      source_reader, source_writer = IO.pipe
      _reader, writer = IO.pipe
      moving = spin { IO.double_splice(source_reader, writer) }
      snooze
      Polyphony.machine.schedule(moving, :no_reason_to_stop)
      snooze
      source_writer << "abc"
      source_writer.close
      expect(moving.await).to eq(3)
    end
  end

  it "lets other fibers run while it moves a lot" do
    turns = 0
    ticking = spin { loop { snooze.then { turns += 1 } } }
    IO.double_splice(temporary_file(random_bytes(4_000_000)), temporary_file)
    expect(turns).to be > 3
    Polyphony.machine.schedule(ticking, Polyphony::Terminate.new)
  end

  it "moves data with the collector at work", :gc do
    reader, writer = IO.pipe
    expect(IO.double_splice(closed_pipe_with("data"), writer)).to eq(4)
    expect(reader.readpartial(10)).to eq("data")
  end
end
