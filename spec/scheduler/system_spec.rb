# frozen_string_literal: true

require "monitor"
require "pty"
require "socket"
require "tempfile"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: what programs do with the system" do
  def outcome_of(program)
    outcome = ruby_program("require 'uringmachine'\nFiber.set_scheduler(UM::FiberScheduler.new)\n#{program}")
    [outcome.stdout, outcome.stderr, outcome.status.exitstatus]
  end

  describe "exec" do
    it "replaces the program from within a fiber" do
      expect(outcome_of(<<~'RUBY')).to eq(["executed\n", "", 0])
        Fiber.schedule { sleep }
        Fiber.schedule { sleep(0.001) && exec("echo", "executed") }
      RUBY
    end

    it "goes on where there is no such program" do
      expect(outcome_of("Fiber.schedule { exec('/nonexistent') rescue p($!.class) && sleep(0) && p(1) }"))
        .to eq(["Errno::ENOENT\n1\n", "", 0])
    end
  end

  describe "Process.daemon" do
    # The daemon leaves what it has to say in a file. Its parent waits for that: this suite ends all
    # that a program has started when the program ends.
    def said_by_daemon(program)
      outcome = ruby_program(<<~RUBY)
        require "uringmachine"
        require "tmpdir"
        def say(text)
          File.write("part", text)
          File.rename("part", "all")
        end
        Dir.mktmpdir do |folder|
          Dir.chdir(folder)
          Process.wait(fork { #{program} })
          sleep(0.001) until File.exist?("all")
          puts File.read("all")
        end
      RUBY
      [outcome.stdout.chomp, outcome.stderr, outcome.status.exitstatus]
    end

    it "goes on with the fiber that called it" do
      expect(said_by_daemon(<<~'RUBY')).to eq(["other true", "", 0])
        parent = Process.pid
        Fiber.set_scheduler(UM::FiberScheduler.new)
        Fiber.schedule do
          Process.daemon(true, true)
          sleep(0.001)
          say("#{`echo other`.chomp} #{Process.pid != parent}")
        end
      RUBY
    end

    it "goes on with a scheduler that is set up afterwards" do
      expect(said_by_daemon(<<~'RUBY')).to eq(["0123", "", 0])
        Process.daemon(true, true)
        Fiber.set_scheduler(UM::FiberScheduler.new)
        text = +""
        4.times { |number| Fiber.schedule { sleep(number / 1000.0).then { text << number.to_s } } }
        Fiber.scheduler.run
        say(text)
      RUBY
    end
  end

  describe "PTY.spawn" do
    it "talks to a program on a terminal" do
      lines, status = in_fiber do
        PTY.spawn("read line; echo got $line; exit 3") do |output, input, pid|
          input.puts("this")
          lines = [output.gets.chomp, output.gets.chomp]
          break [lines, Process.wait2(pid).last.exitstatus]
        end
      end
      expect([lines, status]).to eq([["this", "got this"], 3])
    end

    it "reads to the end of a program's output, while others run" do
      (text, status), turns = beside_turns do
        PTY.spawn("sleep 0.02; echo end") do |output, _, pid|
          text = +""
          begin
            loop { text << output.readpartial(100) }
          rescue Errno::EIO
            text << "|"
          end
          break [text, Process.wait2(pid).last.success?]
        end
      end
      expect([text, status]).to eq(["end\r\n|", true])
      expect(turns).to be > 1
    end
  end

  describe "File#flock" do
    it "takes and refuses locks" do
      Tempfile.create do |file|
        answers = in_fiber do
          File.open(file.path) do |other|
            [file.flock(File::LOCK_EX), other.flock(File::LOCK_EX | File::LOCK_NB),
             file.flock(File::LOCK_UN), other.flock(File::LOCK_SH | File::LOCK_NB)]
          end
        end
        expect(answers).to eq([0, false, 0, 0])
      end
    end

    # Ruby asks no scheduler for it: the thread waits.
    it "waits until another process gives the lock up" do
      Tempfile.create do |file|
        holder = IO.popen([RbConfig.ruby, "-e", <<~'RUBY', file.path], "r+")
          file = File.open(ARGV[0]).tap { |opened| opened.flock(File::LOCK_EX) }
          $stdout.sync = true
          puts "locked"
          $stdin.gets
          sleep(0.02)
        RUBY
        answers = in_fiber { [holder.gets, holder.puts, file.flock(File::LOCK_EX)] }
        holder.close
        expect(answers).to eq(["locked\n", nil, 0])
      end
    end
  end

  describe "Socket.tcp" do
    # One of the two addresses of localhost refuses.
    it "connects to whichever address answers" do
      server = TCPServer.new("127.0.0.1", 0)
      port = server.local_address.ip_port
      text, = in_fibers(
        -> { Socket.tcp("localhost", port, connect_timeout: 5, &:read) },
        -> { server.accept.tap { |peer| peer.write("found") }.close }
      )
      server.close
      expect(text).to eq("found")
    end

    it "raises what the last address answered" do
      free = TCPServer.new("127.0.0.1", 0)
      port = free.local_address.ip_port
      free.close
      expect(in_fiber do
               error_of do
                 Socket.tcp("localhost", port, connect_timeout: 5)
               end
             end).to be_a(Errno::ECONNREFUSED)
    end

    it "connects while other fibers run, many at a time" do
      server = TCPServer.new("localhost", 0)
      port = server.local_address.ip_port
      accepting = -> { 20.times { server.accept.close } }
      clients = Array.new(20) { -> { TCPSocket.new("localhost", port).tap(&:read).close } }
      expect(in_fibers(accepting, *clients).drop(1)).to eq([nil] * 20)
      server.close
    end
  end

  describe "between a fiber and a thread" do
    it "SizedQueue holds back either side" do
      there = Thread::SizedQueue.new(1)
      back = Thread::SizedQueue.new(1)
      thread = Thread.new { while (value = there.pop) do back << (value * 2) end }
      received, = in_fibers(-> { Array.new(50) { back.pop } }, -> { 50.times { |number| there << number } })
      there.close
      thread.join
      expect(received).to eq((0...50).map { |number| number * 2 })
    end

    it "Monitor lets one in at a time, and signals" do
      monitor = Monitor.new
      condition = monitor.new_cond
      turns = []
      play = lambda do |me, other|
        10.times do
          monitor.synchronize do
            condition.wait_while { turns.last == me }
            turns << me
            condition.broadcast
          end
        end
        other
      end
      thread = Thread.new { play.call(:thread, :fiber) }
      in_fiber { play.call(:fiber, :thread) }
      thread.join
      expect(turns.each_slice(2).map(&:sort).uniq).to eq([%i[fiber thread]])
    end

    it "Thread#value and Thread#raise work both ways" do
      sleeper = Thread.new do
        Thread.current.report_on_exception = false
        sleep
      end
      error, = in_fibers(
        -> { error_of { sleeper.value } },
        -> { sleep(0.001).then { sleeper.raise(IOError, "from a fiber") } }
      )
      expect([error.class, error.message]).to eq([IOError, "from a fiber"])
    end
  end

  describe "IO#close while another fiber uses the IO" do
    it "leaves no fiber waiting for ever: the time limit ends it", if: RUBY_VERSION < "4.0" do
      reader, writer = IO.pipe
      reader.timeout = 0.02
      error, = in_fibers(-> { error_of { reader.read(1) } }, -> { writer.write("").then { nil } })
      [reader, writer].each(&:close)
      expect(error).to be_a(IO::TimeoutError)
    end

    it "lets the other side's close end a read, a wait and a select" do
      results = in_fibers(
        Array.new(3) do |kind|
          lambda do
            reader, writer = IO.pipe
            Fiber.schedule { sleep(0.001).then { writer.close } }
            [-> { reader.read }, -> { reader.wait_readable(5).equal?(reader) },
             -> { IO.select([reader, reader], nil, nil, 5).map(&:size) }][kind].call.tap { reader.close }
          end
        end
      )
      expect(results).to eq(["", true, [2, 0, 0]])
    end
  end

  describe "at_exit" do
    it "runs in an order that one can rely on, also after a failure in a fiber" do
      stdout, stderr, status = outcome_of(<<~'RUBY')
        at_exit { puts "at exit: #{$!.class}" }
        Fiber.schedule { sleep(0.001) && raise("in a fiber") }
        Fiber.schedule { sleep(0.002) && puts("went on") }
      RUBY
      expect(stdout.lines(chomp: true)).to eq(["went on", "at exit: RuntimeError"])
      expect([stderr[/in a fiber \(RuntimeError\)/].nil?, status]).to eq([false, 1])
    end
  end
end
