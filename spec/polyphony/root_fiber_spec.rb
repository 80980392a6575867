# frozen_string_literal: true

require_relative "../support/polyphony"

# The rule changes core methods, so each example is a program of its own.
RSpec.describe "the root fiber under Polyphony" do
  # A fiber that counts its turns tells whether the others were held up. `progress { … }` in the
  # program gives the block's value, and fails where no other fiber ran meanwhile.
  prelude = <<~'RUBY'
    require "polyphony"
    require "socket"
    require "tempfile"

    $stdout.sync = true

    def progress
      turns = 0
      ticking = spin { loop { sleep 0.001; turns += 1 } }
      value = yield
      abort "nobody else ran during #{caller_locations(1, 1).first}" if turns.zero?
      ticking.terminate
      value
    end

    # Runs the block in a fiber, a little later.
    def later(&block)
      spin { sleep(0.03).then(&block) }
    end
  RUBY

  define_method(:program) { |text, **options| ruby_program("#{prelude}#{text}", **options) }

  # The program's last line, which says what came out.
  def result_of(text)
    outcome = program(text)
    expect(outcome).to be_success, "#{outcome.stdout}#{outcome.stderr}"
    outcome.stdout.lines(chomp: true).last
  end

  describe "lets others run while it waits in" do
    # Each makes `reader` give the line after a while.
    {
      "IO#read" => ["reader.read", '"line\n"'],
      "IO#read with a length" => ["reader.read(3)", '"lin"'],
      "IO#read with a buffer" => ["String.new.tap { |buffer| reader.read(3, buffer) }", '"lin"'],
      "IO#readpartial" => ["reader.readpartial(100)", '"line\n"'],
      "IO#readbyte" => ["reader.readbyte", "108"],
      "IO#readchar" => ["reader.readchar", '"l"'],
      "IO#getbyte" => ["reader.getbyte", "108"],
      "IO#getc" => ["reader.getc", '"l"'],
      "IO#sysread" => ["reader.sysread(100)", '"line\n"'],
      "IO#wait" => ["reader.wait(5).equal?(reader)", "true"],
      "IO#wait_readable" => ["reader.wait_readable(5).equal?(reader)", "true"],
      "IO#gets" => ["[reader.gets, $_]", '["line\n", "line\n"]'],
      "IO#gets with arguments" => ['reader.gets("i", 9, chomp: true)', '"l"'],
      "IO#readline" => ["[reader.readline(chomp: true), $_]", '["line", "line"]'],
      "Kernel#gets" => ["$stdin.reopen(reader); [gets, $_, $.]", '["line\n", "line\n", 1]'],
      "Kernel#readline" => ["$stdin.reopen(reader); [readline(chomp: true), $_]", '["line", "line"]'],
      "ARGF.gets" => ["$stdin.reopen(reader); [ARGF.gets, $_]", '["line\n", "line\n"]'],
      "IO.select" => ["IO.select([reader], nil, nil, 5)&.first == [reader]", "true"]
    }.each do |name, (call, expected)|
      it name do
        expect(result_of(<<~RUBY)).to eq(expected)
          reader, writer = IO.pipe
          later { writer << "line\n"; writer.close }
          p progress { #{call} }
        RUBY
      end
    end

    %w[write syswrite].each do |name|
      it "IO##{name}" do
        expect(result_of(<<~RUBY)).to eq("true")
          reader, writer = IO.pipe
          writer.write_nonblock("x" * 1_000_000)
          later { reader.readpartial(1_000_000) }
          p progress { writer.#{name}("behind") }.positive?
        RUBY
      end
    end

    it "IO#wait_writable" do
      expect(result_of(<<~RUBY)).to eq("true")
        reader, writer = IO.pipe
        writer.write_nonblock("x" * 1_000_000)
        later { reader.readpartial(1_000_000) }
        p progress { writer.wait_writable(5) }.equal?(writer)
      RUBY
    end

    it "TCPServer#accept and BasicSocket#recv" do
      expect(result_of(<<~RUBY)).to eq('"hello"')
        server = TCPServer.new("127.0.0.1", 0)
        client = nil
        later { client = TCPSocket.new("127.0.0.1", server.addr[1]) }
        connection = progress { server.accept }
        later { client.write("hello") }
        p progress { connection.recv(100) }
      RUBY
    end

    it "UNIXServer#accept" do
      expect(result_of(<<~RUBY)).to eq("UNIXSocket")
        path = File.join(Dir.mktmpdir, "socket")
        server = UNIXServer.new(path)
        later { UNIXSocket.new(path) }
        p progress { server.accept }.class
        File.unlink(path)
        Dir.unlink(File.dirname(path))
      RUBY
    end

    it "Socket#accept and Socket#connect" do
      expect(result_of(<<~RUBY)).to eq("[Socket, Addrinfo, 0]")
        server = Socket.new(:INET, :STREAM)
        server.bind(Addrinfo.tcp("127.0.0.1", 0))
        server.listen(1)
        later { Socket.new(:INET, :STREAM).connect(server.local_address) }
        connection, address = progress { server.accept }
        p [connection.class, address.class, Socket.new(:INET, :STREAM).connect(server.local_address)]
      RUBY
    end

    it "TCPSocket.new, whose listener is a fiber" do
      expect(result_of(<<~RUBY)).to eq('"welcome"')
        server = TCPServer.new("127.0.0.1", 0)
        spin { server.accept_loop { |connection| sleep(0.03); connection << "welcome"; connection.close } }
        socket = TCPSocket.new("127.0.0.1", server.addr[1])
        p progress { socket.read }
      RUBY
    end

    it "TCPSocket.open with a block" do
      expect(result_of(<<~RUBY)).to eq('["welcome", true]')
        server = TCPServer.new("127.0.0.1", 0)
        spin { server.accept_loop { |connection| sleep(0.03); connection << "welcome"; connection.close } }
        opened = nil
        answer = TCPSocket.open("127.0.0.1", server.addr[1]) { |socket| progress { (opened = socket).read } }
        p [answer, opened.closed?]
      RUBY
    end

    it "Kernel#sleep" do
      expect(result_of("p progress { sleep 0.1 }.class")).to eq("Integer")
      expect(result_of("p progress { Kernel.sleep(0.1) }.class")).to eq("Integer")
    end

    it "Kernel#system and backticks" do
      expect(result_of("p [progress { system('sleep 0.1; exit 3') }, $?.exitstatus]")).to eq("[false, 3]")
      expect(result_of("p [progress { `sleep 0.1; echo out` }, $?.success?]")).to eq('["out\n", true]')
    end

    it "Process.wait and its likes" do
      %w[Process.wait Process.waitpid].each do |call|
        expect(result_of("pid = spawn('sleep 0.1')\np progress { #{call}(pid) } == pid")).to eq("true")
      end
      %w[Process.wait2 Process.waitpid2].each do |call|
        last = result_of("pid = spawn('sleep 0.1; exit 2')\np progress { #{call}(pid) }.last.exitstatus")
        expect(last).to eq("2")
      end
      expect(result_of("spawn('sleep 0.1')\np progress { Process.waitall }.size")).to eq("1")
    end

    it "IO#close of a command" do
      program = 'p [progress { IO.popen("sleep 0.1; exit 3").close }, $?.exitstatus]'
      expect(result_of(program)).to eq("[nil, 3]")
    end

    it "Process::Status.wait" do
      program = 'p progress { Process::Status.wait(spawn("sleep 0.1; exit 3")) }.exitstatus'
      expect(result_of(program)).to eq("3")
    end

    it "Thread#join and Thread#value" do
      expect(result_of("p progress { Thread.new { sleep 0.1; 7 }.value }")).to eq("7")
      expect(result_of("p progress { Thread.new { sleep 0.1 }.join }.class")).to eq("Thread")
      expect(result_of("p progress { Thread.new { sleep }.join(0.05) }")).to eq("nil")
    end

    %w[pop shift deq].each do |name|
      it "Thread::Queue##{name}" do
        expect(result_of("queue = Queue.new\nlater { queue << 7 }\np progress { queue.#{name} }")).to eq("7")
        expect(result_of("p progress { Queue.new.#{name}(timeout: 0.05) }")).to eq("nil")
      end

      it "Thread::SizedQueue##{name}" do
        last = result_of("queue = SizedQueue.new(1)\nlater { queue << 7 }\np progress { queue.#{name} }")
        expect(last).to eq("7")
      end
    end

    %w[push << enq].each do |name|
      it "Thread::SizedQueue##{name}" do
        expect(result_of(<<~RUBY)).to eq("[6, 7]")
          queue = SizedQueue.new(1)
          queue.push(6)
          popped = []
          later { popped << queue.pop }
          progress { queue.#{name}(7) }
          p popped << queue.pop
        RUBY
      end
    end

    it "what the gem itself waits in" do
      expect(result_of(<<~RUBY)).to eq("[4, [1], nil]")
        reader, writer = IO.pipe
        other_reader, other_writer = IO.pipe
        later { writer << "data" }
        moved = progress { IO.splice(reader, other_writer, 10) }
        awaited = progress { Fiber.await(later { 1 }) }
        p [moved, awaited, snooze]
      RUBY
    end
  end

  describe "exceptions" do
    it "come out as from the method itself" do
      expect(result_of(<<~'RUBY')).to eq('"EOFError end of file reached"')
        reader, writer = IO.pipe
        writer.close
        begin
          reader.readpartial(1)
        rescue EOFError => e
          p "#{e.class} #{e.message}"
        end
      RUBY
    end

    it "tell the line of the caller" do
      expect(result_of(<<~'RUBY')).to eq("true")
        reader, = IO.pipe
        line = __LINE__ + 2
        begin
          reader.tap(&:close).read
        rescue IOError => e
          p e.backtrace.any? { |frame| frame.start_with?("#{__FILE__}:#{line}:") }
        end
      RUBY
    end

    it "of a thread keep the thread's backtrace" do
      expect(result_of(<<~'RUBY')).to eq("[true, true]")
        thread = Thread.new { raise "failed" }
        thread.report_on_exception = false
        traces = Array.new(2) { thread.join rescue $!.backtrace }
        p [traces.first == traces.last, traces.first.none? { |frame| frame.include?("root_fiber.rb") }]
      RUBY
    end

    it "of a refused connection are raised" do
      expect(result_of(<<~RUBY)).to eq("Errno::ECONNREFUSED")
        server = TCPServer.new("127.0.0.1", 0)
        port = server.addr[1]
        server.close
        begin
          TCPSocket.new("127.0.0.1", port)
        rescue SystemCallError => e
          p e.class
        end
      RUBY
    end

    it "of a thread are raised by its join" do
      expect(result_of(<<~RUBY)).to eq('"failed"')
        thread = Thread.new { raise "failed" }
        thread.report_on_exception = false
        p((thread.join rescue $!.message))
      RUBY
    end

    it "of a child fiber come up in the wait" do
      expect(result_of(<<~RUBY)).to eq('"failed"')
        reader, = IO.pipe
        spin { raise "failed" }
        p((reader.read rescue $!.message))
      RUBY
    end

    it "scheduled by a timeout end the wait, and nothing is lost" do
      expect(result_of(<<~RUBY)).to eq('[Timeout::Error, "data"]')
        require "timeout"
        reader, writer = IO.pipe
        error = Timeout.timeout(0.02) { reader.readpartial(100) } rescue $!.class
        writer << "data"
        p [error, reader.readpartial(100)]
      RUBY
    end

    it "are raised for wrong arguments" do
      expect(result_of("p((sleep(-1) rescue $!.class))")).to eq("ArgumentError")
      expect(result_of("p((IO.pipe.first.readpartial rescue $!.class))")).to eq("ArgumentError")
    end
  end

  describe "gets and readline" do
    it "set $_ of the method that calls them" do
      expect(result_of(<<~'RUBY')).to eq('["outer", "one\n", "two\n", nil, nil]')
        reader, writer = IO.pipe
        writer << "one\ntwo\n"
        writer.close
        $_ = "outer"
        def one(reader) = [reader.gets, $_].last
        def two(reader) = [reader.readline, $_].last
        def none(reader) = [reader.gets, $_].last
        def raised(reader) = [($_ = "before"), (reader.readline rescue nil), $_].last
        p [$_, one(reader), two(reader), none(reader), raised(reader)].tap { |all| all[0] = $_ }
      RUBY
    end

    it "are core's in spun fibers and in other threads" do
      text = <<~'RUBY'
        reader, writer = IO.pipe
        writer << "a\nb\nc\nd\n"
        lines = -> { [reader.gets, $_, reader.readline(chomp: true), $_] }
        p [Polyphony ? spin { lines.call }.await : lines.call, Thread.new { lines.call }.value]
      RUBY
      expect(result_of(text)).to eq(ruby_program("Polyphony = nil\n#{text}").stdout.chomp)
    end

    it "refuse what core refuses" do
      text = <<~'RUBY'
        reader, writer = IO.pipe
        writer << "line\n"
        calls = [-> { reader.gets(1, 2, 3) }, -> { reader.gets(Object.new) }, -> { reader.gets(none: 1) },
                 -> { writer.gets }, -> { IO.pipe.first.tap(&:close).gets }, -> { reader.readline(nil, 1, 2) }]
        p calls.map { |call| call.call rescue "#{$!.class} #{$!.message}" }
      RUBY
      expect(result_of(text)).to eq(ruby_program(text).stdout.chomp)
    end

    it "of a class that has its own are its own" do
      expect(result_of(<<~'RUBY')).to eq('"mine: line\n"')
        reader, writer = IO.pipe
        def reader.gets(...) = "mine: #{super}"
        writer << "line\n"
        p reader.gets
      RUBY
    end
  end

  describe "throw and break" do
    it "may leave the block of a method that is wrapped inside" do
      expect(result_of("p catch(:done) { loop { sleep 0.001; throw :done, 7 } }")).to eq("7")
    end
  end

  describe "an interrupt" do
    it "ends the helper, which takes nothing away" do
      expect(result_of(<<~RUBY)).to eq('[Interrupt, 0, "data"]')
        reader, writer = IO.pipe
        later { Process.kill(:INT, Process.pid) }
        interrupted = begin
          reader.readpartial(100)
        rescue Interrupt => e
          e.class
        end
        writer << "data"
        p [interrupted, Polyphony.machine.fiber_set.size, reader.readpartial(100)]
      RUBY
    end

    it "ends a wait for connections, which go to the next accept" do
      expect(result_of(<<~RUBY)).to eq("[true, true]")
        server = TCPServer.new("127.0.0.1", 0)
        later { Process.kill(:INT, Process.pid) }
        interrupted = begin
          server.accept
        rescue Interrupt
          true
        end
        client = TCPSocket.new("127.0.0.1", server.addr[1])
        p [interrupted, server.accept.remote_address.ip_port == client.local_address.ip_port]
      RUBY
    end

    %i[INT TERM].each do |signal|
      it "SIG#{signal} ends a program that waits, after its ensure blocks" do
        source = <<~RUBY
          #{prelude}
          spin { begin; sleep; ensure; puts :fiber; end }
          begin; puts :up; sleep; ensure; puts :root; end
        RUBY
        spawn_ruby(source) do |running|
          running.kill(signal)
          expect(running.wait(10)&.termsig).to eq(Signal.list.fetch(signal.to_s)), running.report
          expect(running.stdout.split).to eq(%w[up root fiber])
        end
      end
    end

    it "runs a trap handler while the root fiber waits" do
      expect(result_of(<<~RUBY)).to eq("[:handled, 7]")
        handled = nil
        trap(:USR1) { handled = :handled }
        queue = Queue.new
        later { Process.kill(:USR1, Process.pid); sleep 0.03; queue << 7 }
        p [queue.pop.then { |value| [handled, value] }].first
      RUBY
    end

    it "ends 100 servers that have just begun to listen", time_limit: 120 do
      source = <<~RUBY
        require "polyphony"
        server = TCPServer.new("127.0.0.1", 0)
        STDOUT.syswrite("up\n")
        while (connection = server.accept)
          spin { connection.read }
        end
      RUBY
      statuses = Array.new(100) do
        spawn_ruby(source) { |running| running.kill(:INT) and running.wait(5)&.termsig }
      end
      expect(statuses.tally).to eq(Signal.list["INT"] => 100)
    end
  end

  describe "is left out" do
    it "by POLYPHONY_ROOT_FIBER=0" do
      outcome = ruby_program(<<~RUBY)
        ENV["POLYPHONY_ROOT_FIBER"] = "0"
        require "polyphony"
        turns = 0
        spin { loop { sleep 0.001; turns += 1 } }
        sleep 0.05
        p turns, IO.instance_method(:read).owner
      RUBY
      expect(outcome.stdout).to eq("0\nIO\n")
    end

    it "in threads without a scheduler" do
      expect(result_of(<<~RUBY)).to eq('[nil, true, "data", 7]')
        reader, writer = IO.pipe
        queue = Queue.new
        thread = Thread.new do
          queue.pop
          [Fiber.scheduler, Fiber.current.blocking?, reader.readpartial(100), Thread.new { sleep 0.01; 7 }.value]
        end
        queue << 1
        sleep 0.01
        writer << "data"
        p thread.value
      RUBY
    end

    it "in threads without a scheduler, which get no machine by it" do
      expect(result_of(<<~RUBY)).to eq("true")
        before = Dir.children("/proc/self/fd").size
        Thread.new { sleep 0.001; system("true"); Queue.new.pop(timeout: 0.001) }.join
        p Dir.children("/proc/self/fd").size == before
      RUBY
    end

    it "in fibers, which use the scheduler's hooks" do
      expect(result_of("p spin { [Fiber.current.blocking?, sleep(0.001)] }.await")).to eq("[false, 0]")
    end
  end

  describe "leaves alone" do
    it "Mutex, whose owner is the caller" do
      expect(result_of(<<~RUBY)).to eq("[true, false]")
        mutex = Mutex.new
        p [mutex.synchronize { sleep(0.001) && mutex.owned? }, mutex.locked?]
      RUBY
    end

    it "Monitor and ConditionVariable" do
      expect(result_of(<<~RUBY)).to eq("[:entered, true]")
        require "monitor"
        monitor = Monitor.new
        mutex = Mutex.new
        condition = ConditionVariable.new
        Thread.new { sleep 0.02; mutex.synchronize { condition.signal } }
        p [monitor.synchronize { :entered }, mutex.synchronize { condition.wait(mutex, 5) }.equal?(mutex) || true]
      RUBY
    end

    it "what methods return, and how they can be called" do
      expect(result_of(<<~RUBY)).to eq("[0, 3, true, [true, 0], :read]")
        reader, writer = IO.pipe
        method = reader.method(:read)
        p [writer.write, writer.write("a", 1, "b"), writer.respond_to?(:syswrite),
           [system("exit 0"), $?.exitstatus], method.name]
      RUBY
    end

    it "which methods are private" do
      expect(result_of("p %i[sleep system `].any? { |name| 3.respond_to?(name) }")).to eq("false")
      expect(result_of("p((3.sleep(0.001) rescue $!.class))")).to eq("NoMethodError")
    end

    it "subclasses that define the method themselves" do
      expect(result_of(<<~RUBY)).to eq('"mine: data"')
        reader, writer = IO.pipe
        def reader.read(*) = "mine: \#{super}"
        writer << "data"
        writer.close
        p reader.read
      RUBY
    end
  end

  # The signal comes while a fiber is in native code (a gap of a String is filled with zeroes), and
  # is handled where that fiber parks and the helper of the root fiber is about to be started.
  it "ends by a signal that comes between a fiber's park and its helper's start" do
    program = <<~'RUBY'
      require "polyphony"
      server = TCPServer.new("127.0.0.1", 0)
      reader, = IO.pipe
      spin do
        $stdout.syswrite("ready\n")
        Polyphony.machine.read(reader.fileno, +"", 1, 300_000_000)
      end
      server.accept
    RUBY
    spawn_ruby(program) do |running|
      running.wait_for_line(/ready/)
      running.kill(:TERM)
      expect(running.wait(10)&.termsig).to eq(Signal.list["TERM"]), running.report
    end
  end
end
