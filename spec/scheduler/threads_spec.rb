# frozen_string_literal: true

require "socket"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: threads" do
  it "runs one scheduler in each of several threads" do
    texts = Array.new(16) do |number|
      scheduler_thread do
        left, right = UNIXSocket.pair
        text = nil
        Fiber.schedule { (text = left.read(20)) && left.close }
        Fiber.schedule { right.write("Hello #{number}").then { right.close } }
        Fiber.set_scheduler(nil)
        text
      end
    end.map(&:value)
    expect(texts).to eq((0...16).map { |number| "Hello #{number}" })
  end

  it "moves data between fibers of different threads" do
    left, right = UNIXSocket.pair
    data = "x" * 2_000_000
    size = 0
    threads = [
      scheduler_thread { Fiber.schedule { size = left.read.size } },
      scheduler_thread { Fiber.schedule { right.write(data).then { right.close } } }
    ]
    threads.each(&:join)
    left.close
    expect(size).to eq(data.size)
  end

  it "lets plain threads run while everything waits" do
    counted = 0
    queue = Thread::Queue.new
    waiting = scheduler_thread { Fiber.schedule { queue.pop } }
    wait_until { waiting.status == "sleep" }
    Thread.new { 100_000.times { counted += 1 } }.join
    queue << :enough
    waiting.join
    expect(counted).to eq(100_000)
  end

  it "gets its turns beside a thread that computes" do
    stop = false
    busy = Thread.new { nil until stop }
    rounds = 0
    left, right = UNIXSocket.pair
    in_fibers(
      -> { 20.times { right.write("x") && sleep(0) } },
      -> { 20.times { left.readpartial(1) && (rounds += 1) } }
    )
    stop = true
    busy.join
    [left, right].each(&:close)
    expect(rounds).to eq(20)
  end

  it "is scheduled into from another thread" do
    fiber = nil
    scheduler = nil
    error = nil
    thread = scheduler_thread do |own|
      scheduler = own
      Fiber.schedule { (fiber = Fiber.current) && (error = error_of { sleep }) }
    end
    wait_until { fiber && thread.status == "sleep" }
    scheduler.fiber_interrupt(fiber, IOError.new("from afar"))
    thread.join
    expect([error.class, error.message]).to eq([IOError, "from afar"])
  end

  it "refuses to run in another thread than its own" do
    scheduler = nil
    gate = Thread::Queue.new
    owner = scheduler_thread do |own|
      scheduler = own
      Fiber.schedule { gate.pop }
    end
    wait_until { owner.status == "sleep" }
    # io_wait alone waits there: IO.copy_stream calls it in the threads of blocking operations.
    error = Thread.new { error_of { scheduler.kernel_sleep(0) } }.value
    gate << :open
    owner.join
    expect(error).to be_a(UM::Error)
  end

  describe "Thread#raise" do
    it "ends a thread whose scheduler is closing" do
      thread = scheduler_thread { Fiber.schedule { sleep } }
      wait_until { thread.status == "sleep" }
      thread.raise(ArgumentError, "enough")
      expect(error_of { thread.join }).to be_a(ArgumentError).and have_attributes(message: "enough")
    end

    it "reaches the root fiber that runs the scheduler" do
      log = []
      thread = scheduler_thread do |scheduler|
        Fiber.schedule { sleep(0.02).then { log << :fiber_went_on } }
        scheduler.run
      rescue ArgumentError => e
        log << e.message
      end
      wait_until { thread.status == "sleep" }
      thread.raise(ArgumentError, "for the root")
      thread.join
      expect(log).to eq(["for the root", :fiber_went_on])
    end
  end

  describe "Thread#kill" do
    it "ends a thread whose scheduler is closing" do
      thread = scheduler_thread { Fiber.schedule { sleep } }
      wait_until { thread.status == "sleep" }
      thread.kill
      expect(thread.join(10)&.status).to be(false)
    end

    it "ends a thread that a fiber of another one waits for" do
      sleeper = Thread.new { sleep }
      joined, = in_fibers(-> { sleeper.join.equal?(sleeper) }, -> { sleeper.kill && true })
      expect(joined).to be(true)
    end

    it "ends the own thread from a fiber" do
      thread = scheduler_thread { Fiber.schedule { Thread.current.kill } }
      expect(thread.join(10)&.status).to be(false)
    end
  end

  it "does not run out of descriptors when many threads come and go" do
    outcome = ruby_program(<<~'RUBY')
      require "uringmachine"
      Process.setrlimit(:NOFILE, 40)
      200.times { Thread.new { Fiber.set_scheduler(UM::FiberScheduler.new); Fiber.schedule { sleep 0 } }.join }
      puts "done"
    RUBY
    expect([outcome.stdout, outcome.stderr]).to eq(["done\n", ""])
  end
end
