# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "what comes in" do
  include SpecSupport::MachineHelpers
  include SpecSupport::Subprocess

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:got) { [] }

  # A machine that does without some of what the kernel can do.
  def machine_without(names)
    before = ENV.fetch("POLYPHONY_WITHOUT", nil)
    ENV["POLYPHONY_WITHOUT"] = names
    described_class.new
  ensure
    ENV["POLYPHONY_WITHOUT"] = before
  end

  def pool
    names = %i[buffers_allocated buffers_free segments_free buffer_space_allocated buffer_space_commited]
    machine.metrics.values_at(*names)
  end

  # Writes all of it, and closes that end.
  def sender(fd, data, size = data.bytesize)
    machine.spin do
      sent = 0
      sent += machine.write(fd, data.byteslice(sent, size)) while sent < data.bytesize
      close(fd)
    end
  end

  # A fiber that ends with all that has come in.
  def receiver(fd)
    machine.spin { (+"".b).tap { |all| machine.recv_each(fd) { |chunk| all << chunk } } }
  end

  # Runs a loop in a fiber that has come to its first wait in the kernel.
  def looping(method, *arguments, &block)
    block ||= ->(chunk) { got << chunk }
    parked { machine.public_send(method, *arguments, &block) }.tap { machine.sleep(0.001) }
  end

  # Everything that can still be read.
  def rest_of(fd)
    (+"").tap { |text| machine.timeout(0.005, nil) { machine.read(fd, text, 100_000) } }
  end

  ways = {
    "with all that this kernel can do" => "",
    "with a buffer for each chunk" => "incremental_buffers",
    "without multishot reads" => "read_multishot,incremental_buffers"
  }

  ways.each do |way, names|
    describe way do
      let(:machine) { machine_without(names) }

      {
        "#read_each of a pipe" => [:read_each, -> { pipe }],
        "#read_each of a socket" => [:read_each, -> { socketpair }],
        "#recv_each" => [:recv_each, -> { socketpair }]
      }.each do |title, (method, ends)|
        describe title do
          let!(:both) { instance_exec(&ends) }
          let(:fd) { both.first }
          let(:other) { both.last }

          it "yields what comes, as it comes, and returns nil at EOF", :gc do
            fiber = looping(method, fd)
            %w[one two three].each do |text|
              machine.write(other, text)
              soon { machine.sleep(0.001) until got.last == text }
            end
            close(other)
            expect([machine.join(fiber), got]).to eq([nil, %w[one two three]])
            expect(pending).to eq(0)
          end

          it "yields Strings of their own, binary and not frozen" do
            sender(other, "é" * 3, 2)
            soon { machine.public_send(method, fd) { |chunk| got << (chunk << "!") } }
            expect(got.map(&:encoding)).to all(eq(Encoding::BINARY))
            expect(got.join.delete("!")).to eq(("é" * 3).b)
          end

          it "loses and mixes up nothing of a megabyte" do
            data = Random.new(4).bytes(1_000_000)
            sender(other, data, 30_011)
            soon { machine.public_send(method, fd) { |chunk| got << chunk } }
            expect(got.join == data).to be(true)
          end

          it "gives all buffers back" do
            sender(other, "x" * 1_000_000)
            soon { machine.public_send(method, fd) { nil } }
            _, _, segments, allocated, = pool
            expect(segments % 256).to eq(0)
            expect(allocated).to be <= 2 * 262_144
          end

          it "is left by break, and what comes then is for others" do
            machine.write(other, "hello")
            expect(machine.public_send(method, fd) { |chunk| break chunk }).to eq("hello")
            machine.snooze
            expect(pending).to eq(0)
            machine.write(other, "later")
            expect(rest_of(fd)).to eq("later")
          end

          it "is left by its block's exception" do
            machine.write(other, "hello")
            expect { machine.public_send(method, fd) { raise stop } }.to raise_error(stop)
            machine.snooze
            expect(pending).to eq(0)
          end

          it "is left by a timeout, and loses nothing by that" do
            expect do
              machine.timeout(0.001, stop) { machine.public_send(method, fd) { nil } }
            end.to raise_error(stop)
            machine.snooze
            expect(pending).to eq(0)
            machine.write(other, "later")
            expect(rest_of(fd)).to eq("later")
          end

          it "hands out what has come before an exception that comes with it" do
            fiber = looping(method, fd)
            as_io(other, "w").syswrite("hello")
            machine.schedule(fiber, stop.new)
            expect(machine.join(fiber)).to be_a(stop)
            expect(got.join + rest_of(fd)).to eq("hello")
          end

          it "loses no byte to exceptions, a thousand times" do
            output = as_io(other, "w")
            1000.times do |turn|
              fiber = machine.spin { machine.public_send(method, fd) { |chunk| got << chunk } }
              machine.snooze
              machine.submit if turn[0].zero?
              output.syswrite(turn.to_s)
              turn[1].zero? ? machine.schedule(fiber, stop.new) : machine.sleep(0.00001)
              machine.schedule(fiber, :value)
              machine.join(fiber)
            end
            expect(got.join + rest_of(fd)).to eq((0...1000).to_a.join)
          end

          it "lets the block's own waits be interrupted" do
            error = nil
            fiber = looping(method, fd) do |chunk|
              got << chunk
              machine.sleep(0)
            rescue stop => e
              error = e
            end
            machine.write(other, "one")
            machine.sleep(0.001)
            machine.schedule(fiber, stop.new)
            machine.write(other, "two")
            soon { machine.sleep(0.001) until got.size == 2 }
            machine.terminate(fiber)
            expect(soon { machine.join(fiber) }).to be_a(described_class::Terminate)
            expect([got, error]).to match([%w[one two], be_a(stop)])
          end

          it "ends when the descriptor is closed, and the other side sees it" do
            fiber = looping(method, fd)
            close(fd)
            expect(soon { machine.join(fiber) }).to be_a(Errno::EBADF)
            expect { machine.write(other, "x") }.to raise_error(Errno::EPIPE)
            snooze
            expect(pending).to eq(0)
          end

          it "ends when the descriptor is closed while its block waits" do
            fiber = looping(method, fd) { |chunk| machine.yield if got.push(chunk).one? }
            200.times { machine.write(other, "x") && machine.snooze }
            close(fd)
            machine.schedule(fiber, nil)
            expect(soon { machine.join(fiber) }).to be_a(Errno::EBADF)
          end

          it "keeps what comes while its block waits" do
            fiber = looping(method, fd) { |chunk| machine.sleep(0.001) && got.push(chunk) }
            20.times { |number| machine.write(other, "#{number},") && machine.sleep(0.0002) }
            close(other)
            expect(soon { machine.join(fiber) }).to be_nil
            expect(got.join).to eq((0...20).map { |number| "#{number}," }.join)
          end

          it "leaves a sender waiting when its block waits" do
            fiber = looping(method, fd) { |chunk| machine.yield if got.push(chunk).one? }
            sent = 0
            sending = machine.spin { loop { sent += machine.write(other, "x" * 16_384) } }
            before = -1
            machine.sleep(0.01) until before == (before = sent)
            expect(sent).to be_between(1, 8_000_000)
            machine.terminate(sending)
            machine.join(sending)
            close(other)
            machine.schedule(fiber, nil)
            soon { machine.join(fiber) }
            expect(got.sum(&:bytesize)).to eq(sent)
          end
        end
      end
    end
  end

  describe "the pool" do
    let(:incremental) { described_class.capabilities[:incremental_buffers] }

    it "is made when it is first needed, and has what was not read yet" do
      reader, writer = pipe
      expect(pool).to eq([0, 0, 0, 0, 0])
      machine.write(writer, "foobar")
      skip "no incremental buffers" unless incremental
      machine.read_each(reader) { |chunk| break got << chunk << pool }
      expect(got).to eq(["foobar", [16, 0, 256, 262_144, 262_138]])
    end

    it "is shared by all descriptors" do
      pairs = Array.new(50) { socketpair }
      fibers = pairs.map { |fd, _| receiver(fd) }
      3.times { |turn| pairs.each_with_index { |(_, fd), number| machine.write(fd, "#{number}/#{turn} ") } }
      pairs.each { |_, fd| close(fd) }
      texts = soon { machine.join(fibers) }
      expect(texts).to eq(Array.new(50) { |number| (0..2).map { |turn| "#{number}/#{turn} " }.join })
      expect(pool.first).to eq(16)
    end

    it "grows when much comes at once, and loses nothing" do
      pairs = Array.new(20) { socketpair }
      data = Array.new(20) { |number| Random.new(number).bytes(100_000) }
      data.zip(pairs) { |bytes, (_, fd)| sender(fd, bytes) }
      snooze
      fibers = pairs.map { |fd, _| receiver(fd) }
      expect(soon { machine.join(fibers) } == data).to be(true)
      expect(pool.first).to be_between(17, 1024)
      expect(pool[2] % 256).to eq(0)
    end

    it "loses nothing when the completion queue overflows" do
      small = described_class.new(size: 65) # 256 completions
      readers = Array.new(200) do |number|
        reader, writer = socketpair
        machine.write(writer, "hello#{number}")
        close(writer)
        small.spin { (+"").tap { |all| small.recv_each(reader) { |chunk| all << chunk } } }
      end
      expect(small.join(readers)).to eq(Array.new(200) { |number| "hello#{number}" })
    end

    # A fiber that counts bytes, and takes none before that other fiber has ended.
    def slow_receiver(fd, gate)
      machine.spin do
        count = 0
        machine.recv_each(fd) { |chunk| machine.await(gate) && count += chunk.bytesize }
        count
      end
    end

    # 24 readers that take nothing want more than the 16 MB there may be.
    def hold_all_buffers
      gate = machine.spin { machine.yield }
      readers, senders = Array.new(24) do
        fd, other = socketpair
        [slow_receiver(fd, gate), sender(other, "x" * 2_000_000, 16_384)]
      end.transpose
      soon { machine.sleep(0.001) until pool.values_at(0, 4) == [1024, 0] }
      yield
      machine.schedule(gate, nil)
      expect(soon { machine.join(readers) }).to all(eq(2_000_000))
      machine.join(senders)
    end

    it "lets others read when slow readers hold all of its buffers" do
      hold_all_buffers do
        fd, other = socketpair
        machine.write(other, "hello")
        expect(soon { machine.recv_each(fd) { |chunk| break chunk } }).to eq("hello")
      end
    end

    it "gives memory back after a burst" do
      hold_all_buffers { nil }
      fd, other = socketpair
      receiver = machine.spin { machine.recv_each(fd) { |chunk| got << chunk.bytesize } }
      8000.times { machine.write(other, "x" * 4096) && machine.snooze }
      close(other)
      soon { machine.join(receiver) }
      expect([got.sum, pool.first < 100]).to eq([8000 * 4096, true])
    end
  end

  describe "#read_each" do
    it "reads a file to its end" do
      data = Random.new(5).bytes(300_000)
      machine.open(file(data), File::RDONLY) { |fd| machine.read_each(fd) { |chunk| got << chunk } }
      expect([got.join == data, got.size > 1, pending]).to eq([true, true, 0])
    end

    it "goes on where the file's position is" do
      machine.open(file("hello world"), File::RDONLY) do |fd|
        machine.read(fd, +"", 6)
        machine.read_each(fd) { |chunk| got << chunk }
      end
      expect(got).to eq(["world"])
    end

    it "yields nothing of an empty file" do
      machine.open(File::NULL, File::RDONLY) { |fd| machine.read_each(fd) { |chunk| got << chunk } }
      machine.open(file, File::RDONLY) { |fd| machine.read_each(fd) { |chunk| got << chunk } }
      expect(got).to eq([])
    end

    it "reads a terminal" do
      require "pty"
      PTY.open do |terminal, inside|
        fiber = looping(:read_each, inside.fileno)
        terminal.syswrite("hello\n")
        terminal.syswrite("\u0004")
        expect([soon { machine.join(fiber) }, got]).to eq([nil, ["hello\n"]])
      end
    end

    it "reads a non-blocking pipe" do
      reader, writer = pipe
      as_io(reader).nonblock = true
      fiber = looping(:read_each, reader)
      machine.write(writer, "hello")
      close(writer)
      expect([soon { machine.join(fiber) }, got]).to eq([nil, ["hello"]])
    end

    it "shares a pipe with another reader" do
      reader, writer = pipe
      fibers = Array.new(2) { looping(:read_each, reader) }
      100.times { machine.write(writer, "x") && machine.snooze }
      close(writer)
      expect(soon { machine.join(fibers) }).to eq([nil, nil])
      expect(got.join).to eq("x" * 100)
    end

    it "raises EBADF and EISDIR, and needs a block" do
      expect { machine.read_each(-1) { nil } }.to raise_error(Errno::EBADF)
      expect { machine.read_each(pipe.last) { nil } }.to raise_error(Errno::EBADF)
      machine.open("/", File::RDONLY) do |fd|
        expect { machine.read_each(fd) { nil } }.to raise_error(Errno::EISDIR)
      end
      expect { machine.read_each(pipe.first) }.to raise_error(LocalJumpError)
      expect(pending).to eq(0)
    end

    it "refuses what is no descriptor" do
      [nil, "0", $stdin, 2**40].each do |value|
        expect(error_of { machine.read_each(value) { nil } }).to be_a(TypeError).or be_a(RangeError)
      end
      expect(total_ops).to eq(0)
    end
  end

  describe "#recv_each" do
    it "returns nil when this side shuts down" do
      fd, = socketpair
      fiber = looping(:recv_each, fd, 0)
      machine.shutdown(fd, Socket::SHUT_RD)
      expect(machine.join(fiber)).to be_nil
      expect(pending).to eq(0)
    end

    it "raises ECONNRESET when the peer has reset the connection" do
      fd, port = listener
      one = client(port)
      accepted = keep(machine.accept(fd))
      fiber = looping(:recv_each, accepted)
      as_socket(one).setsockopt(:SOCKET, :LINGER, [1, 0].pack("ii"))
      close(one)
      expect(soon { machine.join(fiber) }).to be_a(Errno::ECONNRESET)
    end

    it "keeps datagrams apart and whole, also empty ones" do
      fd, other = socketpair(Socket::SOCK_DGRAM)
      fiber = looping(:recv_each, fd, 0)
      messages = ["one", "", "x" * 30_000, "two"]
      messages.each { |message| machine.send(other, message, -1, 0) }
      soon { machine.sleep(0.001) until got.size == 4 }
      machine.shutdown(fd, Socket::SHUT_RD)
      expect([soon { machine.join(fiber) }, got]).to eq([nil, messages])
    end

    it "receives out of a sequence of packets until its end" do
      fd, other = socketpair(Socket::SOCK_SEQPACKET)
      fiber = looping(:recv_each, fd, 0)
      %w[one two].each { |message| machine.send(other, message, -1, 0) }
      close(other)
      expect([soon { machine.join(fiber) }, got]).to eq([nil, %w[one two]])
    end

    it "raises ENOTSOCK, ENOTCONN and EBADF, and needs a block" do
      unconnected = keep(machine.socket(Socket::AF_INET, Socket::SOCK_STREAM, 0, 0))
      expect { machine.recv_each(pipe.first) { nil } }.to raise_error(Errno::ENOTSOCK)
      expect { machine.recv_each(unconnected) { nil } }.to raise_error(Errno::ENOTCONN)
      expect { machine.recv_each(-1) { nil } }.to raise_error(Errno::EBADF)
      expect { machine.recv_each(socketpair.first, 0) }.to raise_error(LocalJumpError)
      expect(pending).to eq(0)
    end

    it "refuses flags that are none, or make no sense" do
      fd, = socketpair
      expect { machine.recv_each(fd, "0") { nil } }.to raise_error(TypeError)
      [Socket::MSG_PEEK, Socket::MSG_TRUNC, Socket::MSG_WAITALL].each do |flag|
        expect { machine.recv_each(fd, flag) { nil } }.to raise_error(ArgumentError)
      end
      expect(total_ops).to eq(0)
    end
  end

  describe "in a forked child" do
    def output_of(source)
      outcome = ruby_program(<<~RUBY)
        require "uringmachine"
        $stdout.sync = true
        machine = UM.new
        reader, writer = UM.pipe
        machine.write(writer, "one")
        #{source}
      RUBY
      expect([outcome.status.exitstatus, outcome.stderr]).to eq([0, ""]), outcome.inspect
      outcome.stdout.lines(chomp: true)
    end

    %w[break next raise].each do |leaving|
      it "a loop that was begun by the parent and is left by #{leaving} raises or ends" do
        lines = output_of(<<~RUBY)
          pid = nil
          begin
            machine.read_each(reader) do |chunk|
              if chunk == "one"
                pid = fork
                #{leaving} unless pid
                machine.write(writer, "two")
              else
                break puts(chunk)
              end
            end
          rescue RuntimeError, UM::Error => e
            puts e.class
          end
          exit!(true) unless pid
          Process.wait(pid)
          puts $?.exitstatus
        RUBY
        classes = { "break" => [], "next" => ["UringMachine::Error"], "raise" => ["RuntimeError"] }
        expect(lines).to match_array([*classes[leaving], "two", "0"])
      end
    end
  end

  # Between two of these the loop has no op that closing could cancel.
  it "ends when the descriptor was closed in the block, whoever has its number now" do
    chunks = []
    path = file("1" * 100_000)
    File.binwrite(other = "#{path}.other", "2" * 100_000)
    fd = machine.open(path, File::RDONLY)
    again = nil
    expect do
      machine.read_each(fd) do |chunk|
        chunks << chunk[0]
        machine.close(fd)
        again = keep(machine.open(other, File::RDONLY))
      end
    end.to raise_error(Errno::EBADF)
    expect([chunks, again]).to eq([["1"], fd])
  end

  it "ends when a datagram socket was closed in the block, whoever has its number now" do
    one, other = UM.socketpair(Socket::AF_UNIX, Socket::SOCK_DGRAM, 0)
    keep(other)
    machine.send(other, "x", 1, 0)
    chunks = []
    expect do
      machine.recv_each(one, 0) do |chunk|
        chunks << chunk
        machine.close(one)
        mine, theirs = UM.socketpair(Socket::AF_UNIX, Socket::SOCK_DGRAM, 0).each { |fd| keep(fd) }
        machine.send(theirs, "not for you", -1, 0) && mine
      end
    end.to raise_error(Errno::EBADF)
    expect(chunks).to eq(["x"])
  end

  it "ends when a datagram socket was closed once it was readable, whoever has its number now" do
    one, other = socketpair(Socket::SOCK_DGRAM)
    chunks = []
    fiber = parked { machine.recv_each(one, 0) { |chunk| chunks << chunk } }
    as_socket(other).send("x", 0)
    # The machine knows that it is readable, and the fiber has not run yet.
    machine.test_mode = true
    machine.snooze
    close(one)
    mine, theirs = socketpair(Socket::SOCK_DGRAM)
    as_socket(theirs).send("not for you", 0)
    expect([mine, machine.join(fiber)]).to match([one, be_a(Errno::EBADF)])
    expect(chunks).to eq([])
  end
end
