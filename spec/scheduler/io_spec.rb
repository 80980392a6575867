# frozen_string_literal: true

require "digest"
require "io/nonblock"
require "io/wait"
require "socket"
require "stringio"
require "tempfile"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: IO", :io_buffer do
  def pipe(*arguments) = IO.pipe(*arguments).tap { |ends| (@ios ||= []).concat(ends) }

  def socket_pair = UNIXSocket.pair.tap { |ends| (@ios ||= []).concat(ends) }

  # Runs a reading block against a writing one over a pipe; what the reader gives.
  def transfer(writing, &reading)
    reader, writer = pipe
    in_fibers(
      -> { reading.call(reader) },
      lambda {
        writing.call(writer)
        writer.close
      }
    ).first
  end

  # An IO that Ruby itself doesn't switch to O_NONBLOCK.
  def blocking_pair = socket_pair.each { |io| io.nonblock = false }

  after { @ios&.each(&:close) }

  describe "reading" do
    {
      "read" => [->(io) { io.read }, "one\ntwo\nthree"],
      "read(n)" => [->(io) { [2, 5, 99, 1].map { |n| io.read(n) } }, ["on", "e\ntwo", "\nthree", nil]],
      "read(n, buffer)" => [->(io) { String.new.tap { |buffer| io.read(3, buffer) } }, "one"],
      "read(0)" => [->(io) { io.read(0) }, ""],
      "gets" => [->(io) { [io.gets, io.gets(chomp: true), io.gets] }, %W[one\n two three]],
      "gets at the end" => [->(io) { io.read && io.gets }, nil],
      "gets(limit)" => [->(io) { [io.gets(2), io.gets(9)] }, ["on", "e\n"]],
      "gets(separator)" => [->(io) { io.gets("w") }, "one\ntw"],
      "readline" => [->(io) { io.readline }, "one\n"],
      "readlines" => [->(io) { io.readlines(chomp: true) }, %w[one two three]],
      "each_line" => [->(io) { io.each_line.map(&:size) }, [4, 4, 5]],
      "each_byte" => [->(io) { io.each_byte.first(3) }, "one".bytes],
      "each_char" => [->(io) { io.each_char.to_a.join }, "one\ntwo\nthree"],
      "getc" => [->(io) { [io.getc, io.readchar] }, %w[o n]],
      "getbyte" => [->(io) { [io.getbyte, io.readbyte] }, [111, 110]],
      "ungetc" => [->(io) { io.getc.then { |char| io.ungetc(char.upcase) } || io.gets }, "One\n"],
      "readpartial" => [->(io) { io.readpartial(3) }, "one"],
      "sysread" => [->(io) { io.sysread(3) }, "one"],
      "eof?" => [->(io) { [io.eof?, io.read.size, io.eof?] }, [false, 13, true]]
    }.each do |name, (reading, expected)|
      it "does #{name} on what is written later" do
        late = lambda do |writer|
          sleep 0
          writer.write("one\ntwo\n", "three")
        end
        expect(transfer(late, &reading)).to eq(expected)
      end
    end

    it "returns what read(n) could get when the stream ends early" do
      expect(transfer(->(writer) { writer.write("Hello World") }) { |io| io.read(20) }).to eq("Hello World")
    end

    it "goes on with read(n) over many small writes" do
      slow = lambda do |writer|
        20.times do
          writer.write("ab")
          sleep 0
        end
      end
      expect(transfer(slow) { |io| io.read(39) }).to eq("#{"ab" * 19}a")
    end

    it "raises EOFError at the end" do
      errors = transfer(->(writer) { writer.close }) do |io|
        %i[readline readchar readbyte].map { |name| error_of { io.public_send(name) }.class } +
          [error_of { io.readpartial(1) }.class, error_of { io.sysread(1) }.class]
      end
      expect(errors).to eq([EOFError] * 5)
    end

    it "lets other fibers run meanwhile" do
      reader, writer = pipe
      turns = 0
      _, text = in_fibers(
        lambda {
          5.times { sleep(0) && (turns += 1) }
          writer << "x"
        },
        -> { reader.readpartial(1) << turns.to_s }
      )
      expect(text).to eq("x5")
    end

    it "serves several readers of one pipe, each byte once" do
      reader, writer = pipe
      readers = Array.new(10) { -> { reader.sysread(1) } }
      *bytes, _ = in_fibers(*readers, -> { writer.write("0123456789") })
      expect(bytes.sort).to eq([*"0".."9"])
    end

    it "converts encodings" do
      reader, writer = pipe("UTF-16LE", "UTF-8")
      text, = in_fibers(
        -> { reader.gets },
        -> { writer.write("grün\n".encode("UTF-16LE").b).then { writer.close } }
      )
      expect([text, text.encoding]).to eq(["grün\n", Encoding::UTF_8])
    end

    it "does not wait in read_nonblock" do
      reader, writer = pipe
      results = in_fiber do
        before = [reader.read_nonblock(5, exception: false), error_of { reader.read_nonblock(5) }.class]
        writer << "abc"
        before << reader.read_nonblock(5)
      end
      expect(results).to eq([:wait_readable, IO::EAGAINWaitReadable, "abc"])
    end

    it "reads from a blocking descriptor without blocking the thread" do
      reader, writer = blocking_pair
      text, = in_fibers(-> { reader.readpartial(9) }, -> { writer.write("late") })
      expect(text).to eq("late")
      expect(reader.nonblock?).to be(false)
    end

    it "refuses what can't be read" do
      reader, writer = pipe
      closed = pipe.first.tap(&:close)
      errors = in_fiber do
        [error_of { writer.read }, error_of { closed.read }, error_of { reader.read(-1) },
         File.open(Dir.tmpdir) { |folder| error_of { folder.read(1) } }]
      end
      expect(errors.map(&:class)).to eq([IOError, IOError, ArgumentError, Errno::EISDIR])
    end
  end

  describe "writing" do
    {
      "write" => [->(io) { io.write("a", :b, 3) }, "ab3", 3],
      "puts" => [->(io) { io.puts("a", ["b", ["c"]]) }, "a\nb\nc\n", nil],
      "puts of nothing" => [->(io) { io.puts }, "\n", nil],
      "puts of empty strings" => [->(io) { io.puts("", nil) }, "\n\n", nil],
      "print" => [->(io) { io.print("a", "b") }, "ab", nil],
      "printf" => [->(io) { io.printf("%03d", 7) }, "007", nil],
      "putc" => [->(io) { io.putc("x") }, "x", "x"],
      "syswrite" => [->(io) { io.syswrite("abc") }, "abc", 3],
      "write_nonblock" => [->(io) { io.write_nonblock("abc") }, "abc", 3],
      "write of an empty string" => [->(io) { io.write("") }, "", 0],
      "syswrite of an empty string" => [->(io) { io.syswrite("") }, "", 0]
    }.each do |name, (writing, written, result)|
      it "does #{name}" do
        given = nil
        expect(transfer(->(writer) { given = writing.call(writer) }, &:read)).to eq(written)
        expect(given).to eq(result)
      end
    end

    it "does << and returns the stream" do
      _, writer = pipe
      expect(in_fiber { (writer << "a" << "b").equal?(writer) }).to be(true)
    end

    it "waits while the reader is slow, and loses nothing" do
      data = Random.bytes(1_000_000)
      text = transfer(->(writer) { writer.write(data) }) do |io|
        text = +""
        while (piece = io.read(10_000))
          text << piece
          sleep 0
        end
        text
      end
      expect(text.bytesize).to eq(data.bytesize)
      expect(Digest::SHA256.digest(text)).to eq(Digest::SHA256.digest(data))
    end

    it "waits on a blocking descriptor without blocking the thread" do
      reader, writer = blocking_pair
      _, text = in_fibers(-> { writer.write("x" * 1_000_000).then { writer.close } }, -> { reader.read })
      expect(text).to eq("x" * 1_000_000)
    end

    it "does not switch when it can finish at once" do
      _, writer = pipe
      order = []
      in_fibers(-> { 2.times { writer.write("x").then { order << :writer } } }, -> { order << :other })
      expect(order).to eq(%i[writer writer other])
    end

    it "lets the others run even if it never has to wait" do
      socket, peer = socket_pair
      stop = false
      written = 0
      in_fibers(
        lambda {
          until stop || written > 100_000
            socket.write("x").then { written += 1 }
            peer.read_nonblock(1)
          end
        },
        -> { sleep(0).then { stop = true } }
      )
      expect(written).to be < 100_000
    end

    it "does not wait in write_nonblock" do
      _, writer = pipe
      result = in_fiber do
        writer.write_nonblock("x" * 65_536) while writer.write_nonblock("x", exception: false) == 1
        writer.write_nonblock("x" * 65_536, exception: false)
      rescue IO::EAGAINWaitWritable
        :wait_writable
      end
      expect(result).to eq(:wait_writable)
    end

    it "raises EPIPE when nobody will read" do
      reader, writer = pipe
      error = in_fiber do
        reader.close
        error_of { writer.write("x") }
      end
      expect(error).to be_a(Errno::EPIPE)
    end

    it "raises EPIPE in a fiber that waits for a reader which goes away" do
      reader, writer = pipe
      writing = -> { error_of { writer.write("x" * 200_000) } }
      error, = in_fibers(writing, -> { sleep(0).then { reader.close } })
      expect(error).to be_a(Errno::EPIPE)
    end

    it "refuses what can't be written to" do
      reader, writer = pipe
      writer.close
      expect(in_fiber { [reader, writer].map { |io| error_of { io.write("x") }.class } }).to eq([IOError] * 2)
    end
  end

  describe "closing" do
    it "is seen by the other side before the next operation" do
      reader, writer = socket_pair
      error = in_fiber do
        reader.close
        error_of { writer.write("x") }
      end
      expect(error).to be_a(Errno::EPIPE)
    end

    it "ends a reader's wait" do
      reader, writer = pipe
      text, = in_fibers(-> { reader.read }, -> { writer.write("end").then { writer.close } })
      expect(text).to eq("end")
    end

    it "flushes what was buffered" do
      Tempfile.create do |file|
        in_fiber do
          File.open(file.path, "w").then { |target| target.write("buffered").then { target.close } }
        end
        expect(File.read(file.path)).to eq("buffered")
      end
    end

    it "interrupts a fiber that reads, with an IOError", if: RUBY_VERSION >= "4.0" do
      reader, = pipe
      error, = in_fibers(-> { error_of { reader.read } }, -> { sleep(0).then { reader.close } })
      expect(error).to be_a(IOError)
    end

    it "interrupts a thread that reads, with an IOError" do
      reader, = socket_pair
      waiting = Thread.new { error_of { reader.wait_readable } }
      wait_until { waiting.status == "sleep" }
      in_fiber { reader.close }
      expect(waiting.value).to be_a(IOError)
    end

    it "does io_close directly: closed in fact, and what waits gets EBADF" do
      reader, writer = pipe
      fd = IO.for_fd(reader.fileno).tap { reader.autoclose = false }
      @ios.delete(reader)
      error, results = in_fibers(
        -> { error_of { fd.readpartial(1) } },
        -> { [Fiber.scheduler.io_close(fd.fileno), error_of { writer.write("x") }.class] }
      )
      fd.autoclose = false
      expect(error).to be_a(Errno::EBADF)
      expect(results).to eq([true, Errno::EPIPE])
    end

    it "refuses to io_close what is not open" do
      expect(in_fiber { error_of { Fiber.scheduler.io_close(1_000_000) } }).to be_a(Errno::EBADF)
    end
  end

  describe "files" do
    def with_file(content = "")
      Tempfile.create do |file|
        file.write(content)
        file.flush
        yield file.path
      end
    end

    it "reads and writes whole files" do
      with_file do |path|
        data = Random.bytes(300_000)
        results = in_fiber { [File.binwrite(path, data), File.binread(path) == data, File.size(path)] }
        expect(results).to eq([300_000, true, 300_000])
      end
    end

    it "reads lines" do
      with_file("a\nb\nc") do |path|
        results = in_fiber do
          [File.readlines(path, chomp: true), File.foreach(path).to_a, File.read(path, 2, 1)]
        end
        expect(results).to eq([%w[a b c], %W[a\n b\n c], "\nb"])
      end
    end

    it "keeps the file position over reads and writes" do
      with_file("0123456789") do |path|
        text = in_fiber do
          File.open(path, "r+") do |file|
            first = file.read(3)
            file.seek(2, IO::SEEK_CUR)
            file.write("x")
            [first, file.pos, file.read, file.rewind, file.read]
          end
        end
        expect(text).to eq(["012", 6, "6789", 0, "01234x6789"])
      end
    end

    it "appends" do
      with_file("a") do |path|
        in_fiber { 3.times { |number| File.write(path, number.to_s, mode: "a") } }
        expect(File.read(path)).to eq("a012")
      end
    end

    it "flushes, syncs and truncates" do
      with_file do |path|
        sizes = in_fiber do
          File.open(path, "w") do |file|
            file.write("abcdef")
            before = File.size(path)
            [before, file.flush.size, file.fsync, file.truncate(2), file.size]
          end
        end
        expect(sizes).to eq([0, 6, 0, 0, 2])
      end
    end

    it "does pread and pwrite beside the position" do
      with_file("0123456789") do |path|
        results = in_fiber do
          File.open(path, "r+") do |file|
            [file.pwrite("ab", 4), file.pread(4, 3), file.pos, error_of { file.pread(1, 99) }.class]
          end
        end
        expect(results).to eq([2, "3ab6", 0, EOFError])
      end
    end

    it "raises ESPIPE for pread and pwrite on what has no position" do
      reader, writer = pipe
      errors = in_fiber do
        writer << "x"
        [error_of { reader.pread(1, 0) }, error_of { writer.pwrite("x", 0) }]
      end
      expect(errors.map(&:class)).to eq([Errno::ESPIPE] * 2)
    end

    it "writes from many fibers into their own files" do
      Dir.mktmpdir do |folder|
        writers = Array.new(30) do |number|
          -> { File.write("#{folder}/#{number}", number.to_s * 5000) }
        end
        expect(in_fibers(*writers)).to eq((0...30).map { |number| number.to_s.size * 5000 })
        contents = (0...30).map { |number| File.read("#{folder}/#{number}") }
        expect(contents).to eq((0...30).map { |number| number.to_s * 5000 })
      end
    end

    it "works with a position past 4 GB" do
      with_file do |path|
        text = in_fiber do
          File.open(path, "r+") do |file|
            file.pwrite("far", 5 << 30)
            file.seek(5 << 30)
            [file.read, file.pread(2, (5 << 30) + 1)]
          end
        end
        expect(text).to eq(%w[far ar])
      end
    end
  end

  describe "IO.copy_stream" do
    it "copies from a file into a socket" do
      left, right = socket_pair
      Tempfile.create do |file|
        file.write("x" * 500_000)
        file.flush
        copied, text = in_fibers(
          -> { IO.copy_stream(file.path, left).tap { left.close } },
          -> { right.read }
        )
        expect([copied, text.size]).to eq([500_000, 500_000])
      end
    end

    it "copies from a pipe into a pipe" do
      source, feed = pipe
      drain, target = pipe
      _, copied, text = in_fibers(
        -> { feed.write("x" * 200_000).then { feed.close } },
        -> { IO.copy_stream(source, target).tap { target.close } },
        -> { drain.read }
      )
      expect([copied, text.size]).to eq([200_000, 200_000])
    end

    it "copies from and into objects that are no IO" do
      reader, writer = pipe
      target = StringIO.new
      _, copied = in_fibers(
        -> { IO.copy_stream(StringIO.new("abc"), writer).tap { writer.close } },
        -> { IO.copy_stream(reader, target) }
      )
      expect([copied, target.string]).to eq([3, "abc"])
    end
  end

  describe "IO#wait" do
    it "returns the IO when it is ready, nil when it isn't in time" do
      reader, writer = pipe
      results = in_fiber do
        early = [reader.wait_readable(0), reader.wait_readable(0.001), writer.wait_writable(5)]
        early << reader.wait(0)
        writer << "x"
        early << reader.wait_readable(5) << reader.wait_readable << reader.wait(5)
      end
      expect(named(results, reader:, writer:)).to eq([nil, nil, :writer, nil, :reader, :reader, :reader])
    end

    it "returns the events that came" do
      left, right = socket_pair
      results = in_fiber do
        early = left.wait(IO::READABLE | IO::WRITABLE, 5)
        right << "x"
        [early, left.wait(IO::READABLE | IO::WRITABLE, 5), left.wait(IO::READABLE, nil)]
      end
      expect(results).to eq([IO::WRITABLE, IO::READABLE | IO::WRITABLE, IO::READABLE])
    end

    it "is ready at once for what Ruby has buffered" do
      reader, writer = pipe
      results = in_fiber do
        writer << "a\nb\n"
        [reader.gets, reader.wait_readable(0), reader.gets]
      end
      expect(named(results, reader:)).to eq(["a\n", true, "b\n"])
    end

    it "is woken by what comes later, several fibers on one descriptor" do
      reader, writer = pipe
      waiting = Array.new(5) { -> { reader.wait_readable(10) } }
      *waits, _ = in_fibers(waiting, -> { sleep(0).then { writer << "x" } })
      expect(named(waits, reader:)).to eq([:reader] * 5)
    end

    it "sees the end of the stream as readable" do
      reader, writer = pipe
      ready, = in_fibers(-> { reader.wait_readable(10) }, -> { writer.close })
      expect(ready.equal?(reader)).to be(true)
    end

    it "sees urgent data" do
      server = TCPServer.new("127.0.0.1", 0)
      client = TCPSocket.new("127.0.0.1", server.local_address.ip_port)
      peer = server.accept
      ready, = in_fibers(-> { peer.wait_priority(10) }, -> { client.send("!", Socket::MSG_OOB) })
      expect(ready.equal?(peer)).to be(true)
      [server, client, peer].each(&:close)
    end
  end

  describe "IO#timeout" do
    it "ends a read, a write and a wait, and the stream goes on" do
      left, right = socket_pair
      left.timeout = 0.01
      results = in_fiber do
        errors = [error_of { left.read(1) }, error_of { left.gets }, error_of { left.readpartial(1) },
                  error_of { left.write("x" * 5_000_000) }]
        right.write("later\n")
        errors.map(&:class) << left.gets
      end
      expect(results).to eq([*[IO::TimeoutError] * 4, "later\n"])
    end

    it "does not fire when the data comes in time, nor later" do
      reader, writer = pipe
      reader.timeout = 5
      text, = in_fibers(
        -> { Array.new(3) { reader.readpartial(1).tap { sleep 0 } }.join },
        -> { writer.write("abc") }
      )
      expect(text).to eq("abc")
    end
  end

  describe "the hooks that Ruby calls" do
    {
      "read" => [->(left, _) { left.read(1) }, %i[io_read]],
      "write" => [->(left, _) { left.write("x") }, %i[io_write]],
      "wait_readable" => [->(left, _) { left.wait_readable(1) }, %i[io_wait]],
      "IO.select" => [->(left, _) { IO.select([left, left]) }, %i[io_select]],
      "sleep" => [->(*) { sleep 0 }, %i[kernel_sleep]],
      "Queue#pop" => [->(*) { Thread::Queue.new.pop(timeout: 0.001) }, %i[block]],
      "Process.wait" => [->(*) { Process.wait(spawn("true")) }, %i[process_wait]],
      "getaddrinfo" => [->(*) { Addrinfo.getaddrinfo("localhost", 1) }, %i[address_resolve]],
      "Fiber.schedule" => [->(*) { Fiber.schedule { nil } }, %i[fiber]]
    }.each do |name, (body, hooks)|
      it "are used by #{name}" do
        left, right = socket_pair
        right.write("data")
        expect(hooks_of { body.call(left, right) }).to eq(hooks)
      end
    end

    it "are not used on the blocking root fiber" do
      left, right = socket_pair
      calls = scheduler_thread(SpecSupport::Scheduled::Recording) do |scheduler|
        right.write("x")
        left.read(1)
        sleep 0
        scheduler.calls.dup
      end.value
      expect(calls).to eq([])
    end
  end

  describe "hooks called directly" do
    it "reads into the given part of the buffer" do
      left, right = socket_pair
      buffer = IO::Buffer.new(8)
      read = in_fiber do
        right.write("abcdef")
        Fiber.scheduler.io_read(left, buffer, 0, 5)
      end
      expect([read, buffer.get_string]).to eq([3, "\0\0\0\0\0abc"])
    end

    it "reads at least the given length" do
      left, right = socket_pair
      buffer = IO::Buffer.new(8)
      read, = in_fibers(
        -> { Fiber.scheduler.io_read(left, buffer, 4, 0) },
        -> { %w[a b c d].each { |byte| right.write(byte).then { sleep 0 } } }
      )
      expect([read, buffer.get_string(0, 4)]).to eq([4, "abcd"])
    end

    it "gives 0 at the end of the stream, and what there was before it" do
      left, right = socket_pair
      buffer = IO::Buffer.new(8)
      right.write("ab")
      right.close
      counts = in_fiber { Array.new(2) { Fiber.scheduler.io_read(left, buffer, 5, 0) } }
      expect(counts).to eq([2, 0])
    end

    it "writes the given part of the buffer" do
      left, right = socket_pair
      buffer = IO::Buffer.for("abcdef")
      written = in_fiber { Fiber.scheduler.io_write(left, buffer, 0, 2) }
      left.close
      expect([written, right.read]).to eq([4, "cdef"])
    end

    it "gives negated error numbers" do
      reader, writer = pipe
      buffer = IO::Buffer.for("abc")
      target = IO::Buffer.new(3)
      results = in_fiber do
        scheduler = Fiber.scheduler
        wrong = [scheduler.io_read(writer, target, 0, 0), scheduler.io_write(reader, buffer, 0, 0)]
        reader.close
        wrong << scheduler.io_write(writer, buffer, 0, 0)
      end
      expect(results).to eq([Errno::EBADF, Errno::EBADF, Errno::EPIPE].map { |error| -error::Errno })
    end

    it "does io_pread" do
      Tempfile.create do |file|
        file.write("\0\0abcd")
        file.flush
        buffer = IO::Buffer.new(4)
        count = in_fiber { Fiber.scheduler.io_pread(file, buffer, 3, 0, 1) }
        expect([count, buffer.get_string]).to eq([3, "\0bcd"])
      end
    end

    it "does io_pwrite" do
      Tempfile.create do |file|
        count = in_fiber { Fiber.scheduler.io_pwrite(file, IO::Buffer.for("abcdef"), 3, 0, 2) }
        expect([count, File.binread(file.path)]).to eq([4, "\0\0\0cdef"])
      end
    end

    it "refuses wrong arguments before anything is submitted" do
      left, = socket_pair
      buffer = IO::Buffer.new(8)
      errors, pending = in_fiber do
        scheduler = Fiber.scheduler
        errors = [
          [:io_read, left, "string", 0, 0], [:io_read, left, nil, 0, 0], [:io_read, left, buffer, "1", 0],
          [:io_read, 1, buffer, 0, 0], [:io_read, left, buffer, 0, -1], [:io_read, left],
          [:io_write, left, nil, 0, 0], [:io_wait, left, "r", nil]
        ].map { |hook, *arguments| error_of { scheduler.public_send(hook, *arguments) } }
        [errors.map(&:class), scheduler.machine.metrics[:ops_pending]]
      end
      expect(errors).to eq([*[TypeError] * 4, ArgumentError, ArgumentError, TypeError, TypeError])
      expect(pending).to eq(0)
    end

    it "refuses to read into a read-only buffer" do
      left, right = socket_pair
      right.write("x")
      error = in_fiber { error_of { Fiber.scheduler.io_read(left, IO::Buffer.for("frozen"), 0, 0) } }
      expect(error).to be_a(IO::Buffer::AccessError)
    end

    it "refuses an offset beyond the buffer's end" do
      left, = socket_pair
      error = in_fiber { error_of { Fiber.scheduler.io_read(left, IO::Buffer.new(4), 0, 5) } }
      expect(error).to be_a(ArgumentError)
    end
  end

  describe "IO::Buffer" do
    it "reads and writes" do
      left, right = socket_pair
      source = IO::Buffer.for("Hello World!")
      target = IO::Buffer.new(source.size)
      in_fibers(-> { target.read(right, source.size) }, -> { source.write(left, source.size) })
      expect(target).to eq(source)
    end

    it "reads into a slice and writes one" do
      left, right = socket_pair
      source = IO::Buffer.for("Hello World!").slice(6, 5)
      target = IO::Buffer.new(8)
      in_fibers(-> { target.slice(2, 6).read(right, 5, 1) }, -> { source.write(left, 5) })
      expect(target.get_string).to eq("\0\0\0World")
    end

    it "raises for a slice whose owner was freed meanwhile" do
      left, right = socket_pair
      target = IO::Buffer.new(8)
      slice = target.slice(2, 6)
      error, = in_fibers(
        -> { error_of { slice.read(right, 1) } },
        lambda do
          target.free
          left.write("x")
        end
      )
      expect(error).to be_a(IO::Buffer::InvalidatedError)
    end

    it "does pread and pwrite" do
      Tempfile.create do |file|
        source = IO::Buffer.for("Hello World!")
        target = IO::Buffer.new(source.size)
        in_fiber do
          source.pwrite(file, 1, source.size)
          target.pread(file, 1, source.size)
        end
        expect(target).to eq(source)
      end
    end
  end
end
