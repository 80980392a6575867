# frozen_string_literal: true

require "socket"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: exceptions that end a fiber" do
  def outcome_of(program)
    ruby_program("require 'uringmachine'\nFiber.set_scheduler(UM::FiberScheduler.new)\n#{program}")
  end

  it "are raised when the thread is joined, the first one of several" do
    others = 0
    thread = scheduler_thread do
      Fiber.schedule { sleep(0.001).then { raise IOError, "first" } }
      Fiber.schedule { sleep(0.005).then { raise ArgumentError, "second" } }
      Fiber.schedule { sleep(0.01).then { others += 1 } }
    end
    expect(error_of { thread.join }).to be_a(IOError).and have_attributes(message: "first")
    expect(others).to eq(1)
  end

  it "are raised by set_scheduler(nil), and the scheduler is gone then" do
    results = scheduler_thread do
      Fiber.schedule { raise "in the fiber" }
      [error_of { Fiber.set_scheduler(nil) }.message, Fiber.scheduler]
    end.value
    scheduler_is_left = RUBY_VERSION < "3.4"
    expect(results.first).to eq("in the fiber")
    expect(results.last).to be_nil unless scheduler_is_left
  end

  it "do not come out of Fiber.schedule, nor of run" do
    log = []
    thread = scheduler_thread do |scheduler|
      fiber = Fiber.schedule { raise "at once" }
      log << fiber.alive?
      Fiber.schedule { sleep(0).then { raise "later" } }
      log << error_of { scheduler.run }
    end
    expect(error_of { thread.join }.message).to eq("at once")
    expect(log).to eq([false, nil])
  end

  it "are reported on stderr like those of a thread" do
    outcome = outcome_of(<<~'RUBY')
      Fiber.schedule { raise ArgumentError, "what happened" }
      puts "goes on"
    RUBY
    expect(outcome.stderr).to match(/#<Fiber:.*terminated with exception \(report_on_exception is true\):/)
    expect(outcome.stderr).to match(/program\.rb:3:in .*what happened \(ArgumentError\)/)
    expect([outcome.stdout, outcome.status.exitstatus]).to eq(["goes on\n", 1])
  end

  it "are reported at once, not at the end" do
    outcome = outcome_of(<<~'RUBY')
      $stderr = $stdout
      Fiber.schedule { raise "early" }
      Fiber.schedule { sleep(0.001); puts "later" }
    RUBY
    expect(outcome.stdout.index("early")).to be < outcome.stdout.index("later")
  end

  it "are not reported when the thread doesn't report" do
    outcome = outcome_of(<<~'RUBY')
      Thread.current.report_on_exception = false
      Fiber.schedule { raise "silent" }
      begin
        Fiber.set_scheduler(nil)
      rescue => e
        puts e.message
      end
    RUBY
    expect([outcome.stdout, outcome.stderr, outcome.status.exitstatus]).to eq(["silent\n", "", 0])
  end

  it "keep their backtrace and cause" do
    thread = scheduler_thread do
      Fiber.schedule do
        raise "cause"
      rescue RuntimeError
        raise IOError, "effect"
      end
    end
    error = error_of { thread.join }
    expect([error.class, error.cause.message]).to eq([IOError, "cause"])
    expect(error.backtrace.first).to include("exceptions_spec.rb")
  end

  it "run ensure blocks" do
    log = []
    error_of do
      scheduler_thread do
        Fiber.schedule do
          raise "x"
        ensure
          sleep(0)
          log << :ensured
        end
      end.join
    end
    expect(log).to eq([:ensured])
  end

  it "leave a server and its other clients alone" do
    server = TCPServer.new("127.0.0.1", 0)
    port = server.local_address.ip_port
    answers = []
    thread = scheduler_thread do
      Fiber.schedule do
        5.times do
          peer = server.accept
          Fiber.schedule do
            line = peer.gets
            raise "bad client" if line == "3\n"

            peer.write(line)
          ensure
            peer.close
          end
        end
      end
      5.times do |number|
        Fiber.schedule do
          client = TCPSocket.new("127.0.0.1", port)
          client.puts(number)
          answers << client.read
          client.close
        end
      end
    end
    expect(error_of { thread.join }.message).to eq("bad client")
    server.close
    expect(answers).to contain_exactly("0\n", "1\n", "2\n", "", "4\n")
  end

  it "also of kinds that rescue => doesn't catch" do
    thread = scheduler_thread { Fiber.schedule { raise NotImplementedError, "script error" } }
    expect(error_of { thread.join }).to be_a(NotImplementedError)
  end

  it "may be raised by a hook of a subclass" do
    broken = Class.new(UM::FiberScheduler) do
      def kernel_sleep(_duration = nil) = raise("Broken sleep!")
    end
    thread = scheduler_thread(broken) { Fiber.schedule { sleep 0 } }
    expect(error_of { thread.join }.message).to eq("Broken sleep!")
  end

  it "may be raised by unblock" do
    broken = Class.new(UM::FiberScheduler) do
      def unblock(*)
        super
        raise "Broken unblock!"
      end
    end
    thread = scheduler_thread(broken) do
      Fiber.schedule { Thread.new { Thread.current.report_on_exception = false }.join }
    end
    expect(error_of { thread.join }&.message).to eq("Broken unblock!")
  end

  describe "SystemExit and Interrupt" do
    it "end the program: exit in a fiber" do
      outcome = outcome_of(<<~'RUBY')
        at_exit { puts "at exit" }
        Fiber.schedule { sleep(0.001); exit(7) }
        Fiber.scheduler.run
        puts "never"
      RUBY
      expect([outcome.stdout, outcome.stderr, outcome.status.exitstatus]).to eq(["at exit\n", "", 7])
    end

    it "end the program: exit in a fiber's first turn" do
      outcome = outcome_of(<<~'RUBY')
        Fiber.schedule { exit(7) }
        Fiber.scheduler.run
        puts "never"
      RUBY
      expect([outcome.stdout, outcome.stderr, outcome.status.exitstatus]).to eq(["", "", 7])
    end

    it "end the program while others wait for ever" do
      outcome = outcome_of(<<~'RUBY')
        Fiber.schedule { sleep }
        Fiber.schedule { Thread::Queue.new.pop }
        Fiber.schedule { sleep(0.001); exit(8) }
      RUBY
      expect([outcome.stderr, outcome.status.exitstatus]).to eq(["", 8])
    end

    it "end the program: abort in a fiber" do
      outcome = outcome_of("Fiber.schedule { sleep(0.001); abort('no more') }\n")
      expect([outcome.stderr, outcome.status.exitstatus]).to eq(["no more\n", 1])
    end

    it "end the program: Interrupt raised in a fiber" do
      outcome = outcome_of(<<~'RUBY')
        Fiber.schedule { sleep(0.001); raise Interrupt }
        Fiber.scheduler.run
        puts "never"
      RUBY
      expect([outcome.stdout, outcome.status.termsig]).to eq(["", Signal.list["INT"]])
    end

    it "are not needed to end a thread: Thread.exit in a fiber" do
      thread = scheduler_thread { Fiber.schedule { sleep(0).then { Thread.exit } } }
      expect(thread.join(10)&.status).to be(false)
    end
  end

  describe "Fiber#raise and Fiber#kill" do
    it "end a fiber that waits" do
      log = []
      scheduler_thread do
        sleeper = Fiber.schedule do
          sleep
        rescue IOError => e
          log << e.message
        end
        Fiber.new(blocking: true) { sleeper.raise(IOError, "raised") }.resume
      end.join
      expect(log).to eq(["raised"])
    end

    it "can be rescued by the fiber, which goes on with its work" do
      log = []
      scheduler_thread do |scheduler|
        sleeper = Fiber.schedule do
          begin
            sleep
          rescue IOError
            log << :rescued
          end
          sleep(0.001)
          log << :went_on
        end
        scheduler.fiber_interrupt(sleeper, IOError.new("x"))
      end.join
      expect(log).to eq(%i[rescued went_on])
    end

    it "runs the ensure blocks of a killed fiber" do
      log = []
      scheduler_thread do
        sleeper = Fiber.schedule do
          sleep
        ensure
          log << :ensured
        end
        Fiber.schedule { sleeper.kill }
      end.join
      expect(log).to eq([:ensured])
    end
  end

  describe "fiber_interrupt" do
    it "raises in a fiber that waits, for each kind of wait" do
      left, right = UNIXSocket.pair
      lock = Thread::Mutex.new
      waits = [-> { sleep }, -> { left.read(1) }, -> { left.wait_readable }, -> { IO.select([left, right]) },
               -> { Thread::Queue.new.pop }, -> { lock.synchronize { lock.sleep } }]
      messages = waits.map do |wait|
        fiber = nil
        in_fibers(
          -> { (fiber = Fiber.current) && error_of { wait.call }.message },
          -> { Fiber.scheduler.fiber_interrupt(fiber, RuntimeError.new("interrupted")) }
        ).first
      end
      [left, right].each(&:close)
      expect(messages).to eq(["interrupted"] * waits.size)
    end

    it "does nothing to a fiber that has ended" do
      results = in_fiber do
        ended = Fiber.schedule { nil }
        [Fiber.scheduler.fiber_interrupt(ended, RuntimeError.new("late")), error_of { sleep(0.001) }]
      end
      expect(results).to eq([true, nil])
    end
  end
end
