# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "spin and Fiber.await", :polyphony do
  let(:log) { [] }
  let(:interrupted) { SpecSupport::InPolyphony::Interrupted }

  def terminate(fiber, value = nil)
    Polyphony.machine.schedule(fiber, Polyphony::Terminate.new(value))
  end

  # Parks until somebody ends the fiber.
  def for_ever = Polyphony.machine.yield

  # A fiber that logs its end.
  def logging_end(name)
    spin do
      for_ever
    ensure
      log << name
    end
  end

  describe "spin" do
    it "returns a fiber that doesn't run before the caller waits" do
      fiber = spin { log << :ran }
      expect(fiber).to be_a(Fiber)
      expect(log).to eq([])
      snooze
      expect(log).to eq([:ran])
    end

    it "runs fibers in the order they were spun" do
      fibers = Array.new(5) { |number| spin { log << number } }
      Fiber.await(fibers)
      expect(log).to eq([0, 1, 2, 3, 4])
    end

    it "raises without a block" do
      expect { spin }.to raise_error(ArgumentError)
    end

    it "passes what the fiber is first resumed with" do
      expect(spin(&:inspect).await).to eq("nil")
    end

    it "keeps its tag" do
      expect(spin(:named) { :done }.tag).to eq(:named)
    end

    it "makes the scheduler's hooks work in the fiber" do
      reader, writer = IO.pipe
      waiting = spin { reader.gets }
      spin { writer.puts("line") }
      expect(waiting.await).to eq("line\n")
    end

    it "starts thousands" do
      expect(Fiber.await(Array.new(3000) { |number| spin { snooze.then { number } } })).to eq((0...3000).to_a)
    end

    it "keeps fibers alive that nobody refers to" do
      50.times { |number| spin { snooze.then { log << number } } }
      GC.start
      sleep(0)
      3.times { snooze }
      expect(log.size).to eq(50)
    end
  end

  describe "await" do
    it "gives the values in order" do
      slow = spin { 3.times { snooze } && :slow }
      quick = spin { :quick }
      expect(Fiber.await(slow, quick)).to eq([:slow, :quick])
    end

    it "takes an Array, and nothing at all" do
      expect(Fiber.await([spin { 1 }, spin { 2 }])).to eq([1, 2])
      expect(Fiber.await).to eq([])
      expect(Fiber.await([])).to eq([])
    end

    it "is called join as well, and await of one fiber" do
      expect(Fiber.join(spin { 1 })).to eq([1])
      expect(spin { 2 }.await).to eq(2)
    end

    it "takes fibers that have ended, again and again" do
      fiber = spin { :value }
      snooze
      expect([fiber.await, fiber.await, Fiber.await(fiber, fiber)]).to eq([:value, :value, %i[value value]])
    end

    it "may be called by several fibers" do
      fiber = spin { snooze.then { :value } }
      waiters = Array.new(3) { spin { fiber.await } }
      expect(Fiber.await(waiters)).to eq(%i[value value value])
    end

    it "refuses what spin hasn't made" do
      expect { Fiber.await(Fiber.new { 1 }) }.to raise_error(TypeError)
    end

    it "leaves the fibers alone when it is interrupted" do
      fiber = spin { 20.times { snooze } && :ended }
      expect { interrupt_after(0) { Fiber.await(fiber, spin { for_ever }) } }.to raise_error(interrupted)
      expect(fiber.await).to eq(:ended)
    end

    it "gives nil, false and exceptions that are returned as values" do
      error = RuntimeError.new
      expect(Fiber.await(spin { nil }, spin { false }, spin { error })).to eq([nil, false, error])
    end
  end

  describe "an error" do
    it "is raised in the one who awaits, and not in the parent" do
      parent = spin do
        failing = spin { snooze.then { raise ArgumentError, "failed" } }
        awaiting = spin do
          failing.await
        rescue ArgumentError => e
          e.message
        end
        3.times { snooze }
        awaiting.await
      end
      expect(parent.await).to eq("failed")
    end

    it "is raised in the parent when nobody awaits" do
      spin { raise ArgumentError, "failed" }
      expect { for_ever }.to raise_error(ArgumentError, "failed")
    end

    it "goes up from parent to parent" do
      spin do
        spin { raise ArgumentError, "failed" }
        for_ever
      ensure
        log << :ended
      end
      expect { for_ever }.to raise_error(ArgumentError, "failed")
      expect(log).to eq([:ended])
    end

    it "may be rescued by the parent, which goes on" do
      parent = spin do
        spin { raise "failed" }
        for_ever
      rescue RuntimeError => e
        e.message
      end
      expect(parent.await).to eq("failed")
    end

    it "is raised again when the fiber is awaited later" do
      parent = spin do
        failing = spin { raise "failed" }
        expect { for_ever }.to raise_error("failed")
        expect { failing.await }.to raise_error("failed")
        :both
      end
      expect(parent.await).to eq(:both)
    end

    it "keeps its backtrace" do
      line = __LINE__ + 1
      failing = spin { raise "failed" }
      here = "#{__FILE__}:#{line}"
      expect { failing.await }.to(raise_error { |error| expect(error.backtrace.first).to include(here) })
    end

    it "ends the other awaited fibers first" do
      others = [logging_end(:first), logging_end(:second)]
      failing = spin { snooze.then { raise "failed" } }
      expect { Fiber.await(*others, failing) }.to raise_error("failed")
      expect(log).to contain_exactly(:first, :second)
      expect(others).to all(be_done)
    end

    it "is raised only when the others have ended, however long they take" do
      slow = spin do
        for_ever
      ensure
        5.times { snooze }
        log << :ended
      end
      snooze
      expect { Fiber.await(slow, spin { raise "failed" }) }.to raise_error("failed")
      expect(log).to eq([:ended])
    end

    it "of the first fiber is raised when two fail" do
      first = spin { 2.times { snooze }.then { raise "first to be awaited" } }
      second = spin { raise "first to fail" }
      expect { Fiber.await(first, second) }.to raise_error("first to fail")
    end

    it "on the way out replaces what ended the fiber" do
      fiber = spin do
        for_ever
      ensure
        raise "on the way out"
      end
      awaiting = spin { fiber.await }
      snooze
      terminate(fiber)
      expect { awaiting.await }.to raise_error("on the way out")
    end

    it "that only a bare rescue would catch is passed on as well" do
      expect { spin { raise NotImplementedError, "not there" }.await }.to raise_error(NotImplementedError)
      expect { spin { raise SecurityError, "no StandardError" }.await }.to raise_error(SecurityError)
    end
  end

  describe "children" do
    it "end before their parent" do
      parent = spin do
        logging_end(:child)
        snooze
        :value
      ensure
        log << :parent
      end
      expect(parent.await).to eq(:value)
      # The parent's body first, then its children; only then it counts as ended.
      expect(log).to eq(%i[parent child])
    end

    it "have ended when their parent's awaiter goes on" do
      parent = spin do
        spin do
          for_ever
        ensure
          5.times { snooze }
          log << :child
        end
        snooze
      end
      parent.await
      expect(log).to eq([:child])
    end

    it "end when their parent fails" do
      parent = spin do
        logging_end(:child)
        snooze
        raise "failed"
      end
      expect { parent.await }.to raise_error("failed")
      expect(log).to eq([:child])
    end

    it "end when their parent is terminated, whole trees of them" do
      parent = spin do
        spin do
          logging_end(:grandchild)
          for_ever
        ensure
          log << :child
        end
        for_ever
      end
      3.times { snooze }
      terminate(parent)
      parent.await
      expect(log).to contain_exactly(:child, :grandchild)
    end

    it "that fail on the way out give their error to the parent's awaiter" do
      parent = spin do
        spin do
          for_ever
        ensure
          raise "on the way out"
        end
        snooze
        :value
      end
      expect { parent.await }.to raise_error("on the way out")
    end

    it "may be spun while their parent is ending" do
      parent = spin do
        snooze
      ensure
        spin { log << :late }
      end
      parent.await
      expect(log.size).to be <= 1
      expect(parent.children).to be_empty
    end

    it "leave no trace of themselves" do
      100.times { spin { :done } }
      3.times { snooze }
      expect(Fiber.current.children).to be_empty
    end
  end

  describe "termination" do
    it "before the start never runs the block" do
      fiber = spin { log << :ran }
      fiber.terminate
      expect(fiber.await).to be_nil
      expect(log).to eq([])
    end

    it "of a parent reaches children that have not begun" do
      parent = spin do
        spin { log << :child }
        :value
      end
      expect(parent.await).to eq(:value)
      expect(log).to eq([])
    end

    it "runs ensure blocks, in which the fiber may wait" do
      fiber = spin do
        for_ever
      ensure
        sleep 0.001
        log << :waited
      end
      snooze
      terminate(fiber)
      fiber.await
      expect(log).to eq([:waited])
    end

    it "isn't caught by a plain rescue" do
      fiber = spin do
        for_ever
      rescue StandardError
        log << :rescued
      end
      snooze
      terminate(fiber, :value)
      expect(fiber.await).to eq(:value)
      expect(log).to eq([])
    end

    it "of a fiber that has ended does nothing" do
      fiber = spin { :value }
      fiber.await
      terminate(fiber, :other)
      snooze
      expect(fiber.await).to eq(:value)
    end
  end

  it "runs the ensure blocks of what is left when the thread ends" do
    ended = []
    SpecSupport::InPolyphony.in_thread do
      spin do
        sleep
      ensure
        snooze
        ended << :child
      end
      snooze
    end
    expect(ended).to eq([:child])
  end

  it "spins and awaits with the collector at work", :gc do
    expect(Fiber.await(spin { spin { "a" }.await }, spin { snooze.then { "b" } })).to eq(%w[a b])
  end
end

RSpec.describe "programs that spin" do
  def program(text, **) = ruby_program("require 'polyphony'\n#{text}", **)

  it "end with the first error that nobody rescues" do
    outcome = program("spin { raise 'failed' }\nsleep")
    expect(outcome.status.exitstatus).to eq(1)
    expect(outcome.stderr).to include("failed (RuntimeError)")
  end

  it "end by exit in a spun fiber, however deep" do
    outcome = program("spin { spin { exit 3 }; sleep }\nbegin; sleep; ensure; puts :ensured; end")
    expect(outcome.status.exitstatus).to eq(3)
    expect(outcome.stdout).to eq("ensured\n")
  end

  it "end by exit in a fiber that somebody awaits" do
    expect(program("spin { exit 4 }.await").status.exitstatus).to eq(4)
  end

  it "end by exit in a fiber of another thread" do
    outcome = program(<<~RUBY)
      Thread.new do
        Fiber.set_scheduler(Polyphony::Scheduler.new)
        spin { exit 5 }.await
      end.join
    RUBY
    expect(outcome.status.exitstatus).to eq(5)
  end

  it "end by abort in a spun fiber" do
    outcome = program("spin { abort 'enough' }\nsleep")
    expect(outcome.status.exitstatus).to eq(1)
    expect(outcome.stderr).to eq("enough\n")
  end

  it "run the ensure blocks of their fibers at the end, before at_exit handlers" do
    outcome = program(<<~RUBY)
      at_exit { puts :at_exit }
      spin { begin; sleep; ensure; snooze; puts :ensured; end }
      snooze
      puts :end
    RUBY
    expect(outcome.stdout.split).to eq(%w[end ensured at_exit])
    expect(outcome).to be_success, outcome.stderr
  end

  it "don't wait for fibers that have not begun" do
    outcome = program("at_exit { puts :end }\nspin { puts :ran; sleep }")
    expect(outcome.stdout).to eq("end\n")
    expect(outcome).to be_success, outcome.stderr
  end

  it "only report a connection that was cut, and go on" do
    outcome = program("spin { raise Errno::ECONNRESET }\nsnooze\nsleep 0.01\nputs :on")
    expect(outcome.stdout).to eq("on\n")
    expect(outcome.stderr).to include("connection lost: Connection reset by peer")
    expect(outcome).to be_success
  end

  it "say nothing of it where threads are silent as well" do
    outcome = program("Thread.current.report_on_exception = false\nspin { raise Errno::EPIPE }\nsleep 0.01")
    expect(outcome.stderr).to eq("")
  end

  it "hand such an error to a parent that is not the main fiber" do
    outcome = program(<<~RUBY)
      spin do
        spin { raise Errno::ECONNRESET }
        sleep
      rescue Errno::ECONNRESET
        puts :rescued
      end.await
    RUBY
    expect(outcome.stdout).to eq("rescued\n")
    expect(outcome.stderr).to eq("")
  end

  it "have none of their parent's fibers after a fork" do
    outcome = program(<<~'RUBY')
      spin { begin; sleep; ensure; puts "ensured in #{$$ == PARENT ? :parent : :child}"; end }
      PARENT = $$
      snooze
      Process.wait(fork { puts "child" })
    RUBY
    expect(outcome.stdout.lines(chomp: true)).to eq(["child", "ensured in parent"])
  end
end
