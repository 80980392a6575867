# frozen_string_literal: true

require "socket"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: its life" do
  # Counts what Ruby calls at the end.
  let(:counting) do
    Class.new(UM::FiberScheduler) do
      attr_reader :closes

      def scheduler_close
        @closes = (@closes || 0) + 1
        super
      end
    end
  end

  it "is closed once at the end of the thread" do
    scheduler = nil
    scheduler_thread(counting) { |own| (scheduler = own) && Fiber.schedule { sleep 0 } }.join
    expect(scheduler.closes).to eq(1)
  end

  it "is closed once by set_scheduler(nil), which waits for the fibers" do
    log = []
    scheduler = nil
    scheduler_thread(counting) do |own|
      scheduler = own
      Fiber.schedule { sleep(0.005).then { log << :fiber } }
      Fiber.set_scheduler(nil)
      log << :after << Fiber.scheduler
    end.join
    expect([scheduler.closes, log]).to eq([1, [:fiber, :after, nil]])
  end

  it "is closed when another one takes its place" do
    log = []
    scheduler_thread do |first|
      Fiber.schedule { sleep(0.005).then { log << :first } }
      second = UM::FiberScheduler.new
      Fiber.set_scheduler(second)
      log << :switched
      Fiber.schedule { sleep(0.001).then { log << :second } }
      log << (Fiber.scheduler.equal?(second) && !second.equal?(first))
    end.join
    expect(log).to eq([:first, :switched, true, :second])
  end

  it "can be closed twice" do
    results = nil
    scheduler_thread do |scheduler|
      Fiber.schedule { sleep 0 }
      results = [error_of { scheduler.close }, Fiber.scheduler, error_of { scheduler.close }]
    end.join
    expect(results).to eq([nil, nil, nil])
  end

  it "can be set again after it was closed" do
    ran = false
    scheduler_thread do |scheduler|
      Fiber.set_scheduler(nil)
      Fiber.set_scheduler(scheduler)
      Fiber.schedule { sleep(0).then { ran = true } }
    end.join
    expect(ran).to be(true)
  end

  it "gives its ring back at once, where nobody else has the machine" do
    rings = -> { SpecSupport::DescriptorTable.current.count { |_, target| target.include?("io_uring") } }
    GC.disable
    before = rings.call
    20.times do
      Thread.new do
        Fiber.set_scheduler(UM::FiberScheduler.new)
        Fiber.schedule { sleep(0.001) }
      end.join
    end
    expect(rings.call).to eq(before)
  ensure
    GC.enable
  end

  it "leaves a machine alone that somebody else has" do
    answer = Thread.new do
      scheduler = UM::FiberScheduler.new
      machine = scheduler.machine
      Fiber.set_scheduler(scheduler)
      Fiber.schedule { sleep(0.001) }
      Fiber.set_scheduler(nil)
      machine.sleep(0.001)
    end
    expect(answer.value).to eq(0.001)
  end

  it "runs without being closed" do
    log = []
    scheduler_thread do |scheduler|
      Fiber.schedule { sleep(0.001).then { log << 1 } }
      scheduler.run
      Fiber.schedule { sleep(0.001).then { log << 2 } }
      scheduler.run
      log << 3
    end.join
    expect(log).to eq([1, 2, 3])
  end

  it "runs what fibers start while it closes" do
    depth = 0
    start = lambda do |left|
      Fiber.schedule do
        sleep 0
        depth += 1
        start.call(left - 1) if left.positive?
      end
    end
    scheduler_thread { start.call(20) }.join
    expect(depth).to eq(21)
  end

  it "does not wait for a fiber that Fiber#raise left suspended" do
    log = []
    scheduler_thread do
      sleeper = Fiber.schedule do
        sleep
      rescue RuntimeError => e
        log << e.message
      end
      Fiber.schedule { sleeper.raise("bye").then { log << :never } }
    end.join
    expect(log).to eq(["bye"])
  end

  it "may be made in another thread than it is used in" do
    scheduler = UM::FiberScheduler.new
    text = nil
    Thread.new do
      Fiber.set_scheduler(scheduler)
      Fiber.schedule { text = `echo made elsewhere` }
    end.join
    expect(text).to eq("made elsewhere\n")
  end

  it "takes a machine, and shares it with its fibers" do
    same = nil
    results = []
    Thread.new do
      machine = UM.new
      Fiber.set_scheduler(UM::FiberScheduler.new(machine))
      same = Fiber.scheduler.machine.equal?(machine)
      Fiber.schedule { sleep(0.001).then { results << :scheduled } }
      machine.spin { sleep(0.002).then { results << :spun } }
    end.join
    expect([same, results]).to eq([true, %i[scheduled spun]])
  end

  it "uses hooks in machine.spin fibers too" do
    calls = nil
    scheduler_thread(SpecSupport::Scheduled::Recording) do |scheduler|
      scheduler.machine.spin { sleep(0).then { calls = scheduler.calls.dup } }
    end.join
    expect(calls).to eq([:kernel_sleep])
  end

  it "refuses what is no machine" do
    expect([error_of { UM::FiberScheduler.new(1) }, error_of { UM::FiberScheduler.new("machine") }])
      .to all(be_a(TypeError))
  end

  it "has every hook that Ruby knows" do
    hooks = %i[
      block unblock kernel_sleep io_wait io_read io_write io_pread io_select io_close process_wait
      timeout_after address_resolve fiber_interrupt yield fiber scheduler_close close run
    ]
    expect(hooks.reject { |hook| UM::FiberScheduler.method_defined?(hook) }).to eq([])
  end

  it "has blocking_operation_wait only when it is asked for" do
    scheduler = UM::FiberScheduler.new
    before = scheduler.respond_to?(:blocking_operation_wait)
    scheduler.enable_blocking_operations
    expect([before, scheduler.respond_to?(:blocking_operation_wait)]).to eq([false, true])
  end

  it "does blocking operations beside other fibers when asked to", if: RUBY_VERSION >= "3.4" do
    require "zlib"
    enabled = Class.new(UM::FiberScheduler) do
      def initialize
        super
        enable_blocking_operations
      end
    end
    data = Random.bytes(100_000) * 10
    text = in_fiber(scheduler: enabled) { Zlib::Inflate.inflate(Zlib::Deflate.deflate(data)) }
    expect(text == data).to be(true)
  end

  it "leaves no operation pending, submitted or not" do
    metrics = nil
    left, right = UNIXSocket.pair
    scheduler_thread do |scheduler|
      10.times { Fiber.schedule { left.wait_readable(0.001) } }
      Fiber.schedule { right.write("x") }
      Fiber.set_scheduler(nil)
      metrics = scheduler.machine.metrics.slice(:ops_pending, :ops_unsubmitted, :ops_runqueue)
    end.join
    [left, right].each(&:close)
    expect(metrics).to eq({ ops_pending: 0, ops_unsubmitted: 0, ops_runqueue: 0 })
  end

  describe "at exit" do
    def outcome_of(program)
      outcome = ruby_program("require 'uringmachine'\n#{program}")
      [outcome.stdout, outcome.stderr, outcome.status.exitstatus]
    end

    it "runs the main thread's fibers to their end" do
      program = <<~'RUBY'
        Fiber.set_scheduler(UM::FiberScheduler.new)
        Fiber.schedule do
          sleep(0)
          puts "Running Fiber"
        end
      RUBY
      expect(outcome_of(program)).to eq(["Running Fiber\n", "", 0])
    end

    it "runs at_exit blocks when the fibers have ended, and a new scheduler in them" do
      program = <<~'RUBY'
        Fiber.set_scheduler(UM::FiberScheduler.new)
        at_exit do
          p Fiber.scheduler
          Fiber.set_scheduler(UM::FiberScheduler.new)
          Fiber.schedule { sleep(0.001); puts "scheduled at exit" }
          Fiber.set_scheduler(nil)
        end
        Fiber.schedule { sleep(0.001); puts "fiber" }
      RUBY
      expect(outcome_of(program)).to eq(["fiber\nnil\nscheduled at exit\n", "", 0])
    end

    it "keeps the order of lines" do
      program = <<~'RUBY'
        Fiber.set_scheduler(UM::FiberScheduler.new)
        Fiber.schedule { puts 1; $stdout.puts 2; print "3\n"; $stdout.write("4", "\n"); $stderr.puts 5 }
        puts 6
      RUBY
      stdout, stderr, status = outcome_of(program)
      expect([stdout.lines.map(&:to_i), stderr, status]).to eq([[1, 2, 3, 4, 6], "5\n", 0])
    end

    it "ends at once by exit!" do
      program = "Fiber.set_scheduler(UM::FiberScheduler.new)\nFiber.schedule { sleep }\n"
      endings = ["exit!(3)", "Fiber.schedule { exit!(4) }"]
      expect(endings.map { |ending| outcome_of(program + ending).last }).to eq([3, 4])
    end

    it "loads without RubyGems" do
      program = "require 'uringmachine'; Fiber.set_scheduler(UM::FiberScheduler.new); Fiber.schedule { p 1 }"
      command = [RbConfig.ruby, "--disable=gems", "-I", SpecSupport::Subprocess::LIB, "-e", program]
      expect(IO.popen(command, err: %i[child out], &:read)).to eq("1\n")
    end
  end
end
