# frozen_string_literal: true

require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: signals" do
  # What every program here begins with: fibers that wait in all ways that there are.
  waiting = <<~'RUBY'
    require "uringmachine"
    $stdout.sync = true
    Fiber.set_scheduler(UM::FiberScheduler.new)
    READER, WRITER = IO.pipe
    Fiber.schedule { sleep }
    Fiber.schedule { sleep(600) }
    Fiber.schedule { READER.read(1) }
    Fiber.schedule { READER.wait_readable }
    Fiber.schedule { IO.select([READER]) }
    Fiber.schedule { Thread::Queue.new.pop }
  RUBY

  # Starts the program, sends the signal when it says "ready", and gives what it left behind.
  def signalled(program, *signals)
    spawn_ruby(program) do |running|
      running.wait_for_line(/ready/)
      signals.each_with_index do |signal, index|
        running.wait_for_line(/signal #{index}/) if index.positive?
        running.kill(signal)
      end
      status = running.wait(10 * SpecSupport::GCMode.slowdown)
      raise "it went on; #{running.report}" unless status

      [running.stdout.lines.map(&:chomp) - ["ready"], status, running.stderr]
    end
  end

  it "lets ctrl-C reach the main fiber at once while everything waits" do
    lines, status, = signalled(<<~RUBY, :INT)
      #{waiting}
      begin
        puts "ready"
        Fiber.scheduler.run
      rescue Interrupt
        puts "interrupted on the main fiber: \#{Fiber.current.blocking?}"
        exit!(3)
      end
    RUBY
    expect([lines, status.exitstatus]).to eq([["interrupted on the main fiber: true"], 3])
  end

  # The main program has come to its end when this fiber goes on after its first wait.
  ready_in_close = "Fiber.schedule { sleep(0); puts 'ready' }\n"

  it "ends the program by ctrl-C while the scheduler closes" do
    _, status, stderr = signalled("#{waiting}#{ready_in_close}", :INT)
    expect([status.termsig, stderr]).to match([Signal.list["INT"], /Interrupt/])
  end

  it "ends the program by SIGTERM while the scheduler closes" do
    _, status, = signalled("#{waiting}#{ready_in_close}", :TERM)
    expect(status.termsig).to eq(Signal.list["TERM"])
  end

  it "runs trap handlers at once, and goes on waiting" do
    lines, status, = signalled(<<~RUBY, :USR1, :USR1, :TERM)
      #{waiting}
      count = -1
      # By syswrite: a signal may come inside `puts "ready"`, which holds the write lock.
      trap(:USR1) { $stdout.syswrite("signal \#{count += 1}\nsignal \#{count + 1}\n") }
      trap(:TERM) { $stdout.syswrite("ended\n"); exit!(4) }
      puts "ready"
    RUBY
    expect(lines).to eq(["signal 0", "signal 1", "signal 1", "signal 2", "ended"])
    expect(status.exitstatus).to eq(4)
  end

  it "lets a trap handler wake a fiber through a queue" do
    lines, status, = signalled(<<~'RUBY', :USR1)
      require "uringmachine"
      $stdout.sync = true
      Fiber.set_scheduler(UM::FiberScheduler.new)
      queue = Thread::Queue.new
      trap(:USR1) { queue << :signal }
      Fiber.schedule { puts "ready"; puts queue.pop }
    RUBY
    expect([lines, status.exitstatus]).to eq([["signal"], 0])
  end

  # The last fiber that parks is the one that waits, so the handler runs in it.
  it "wakes a fiber through a queue while a handler waits in it" do
    lines, status, = signalled(<<~'RUBY', :USR1)
      require "uringmachine"
      $stdout.sync = true
      Fiber.set_scheduler(UM::FiberScheduler.new)
      queue = Thread::Queue.new
      trap(:USR1) do
        Thread.new { sleep(0.01).then { queue << :pushed } }
        sleep(0.03)
        $stdout.syswrite("handled\n")
      end
      Fiber.schedule do
        puts "ready"
        sleep(0.001)
        puts queue.pop
      end
    RUBY
    expect([lines, status.exitstatus]).to eq([%w[handled pushed], 0])
  end

  it "lets a trap handler wake a fiber through a pipe" do
    lines, status, = signalled(<<~'RUBY', :USR1)
      require "uringmachine"
      $stdout.sync = true
      Fiber.set_scheduler(UM::FiberScheduler.new)
      reader, writer = IO.pipe
      trap(:USR1) { writer.write_nonblock("!") }
      Fiber.schedule { puts "ready"; puts reader.readpartial(10) }
    RUBY
    expect([lines, status.exitstatus]).to eq([["!"], 0])
  end

  # The handlers stay: the main thread may run one for the last signal later.
  it "does not disturb reads and writes" do
    reader, writer = IO.pipe
    trap(:USR2) { nil }
    pelting = Thread.new { 200.times { Process.kill(:USR2, Process.pid) && sleep(0.0002) } }
    data = "x" * 3_000_000
    _, size = in_fibers(-> { writer.write(data).then { writer.close } }, -> { reader.read.size })
    pelting.join
    reader.close
    expect(size).to eq(data.size)
  end

  it "leaves the timers right after many signals" do
    trap(:USR2) { nil }
    pelting = Thread.new { 50.times { Process.kill(:USR2, Process.pid) && sleep(0.0005) } }
    order = []
    bodies = [40, 5, 20].map { |duration| -> { sleep(duration / 1000.0).then { order << duration } } }
    in_fibers(bodies)
    pelting.join
    expect(order).to eq([5, 20, 40])
  end

  it "ends the program by ctrl-C while a fiber waits for a process" do
    lines, status, = signalled(<<~'RUBY', :INT)
      require "uringmachine"
      $stdout.sync = true
      Fiber.set_scheduler(UM::FiberScheduler.new)
      Fiber.schedule { puts "ready"; system("sleep 600") }
      begin
        Fiber.scheduler.run
      rescue Interrupt
        puts "interrupted"
        exit!(5)
      end
    RUBY
    expect([lines, status.exitstatus]).to eq([["interrupted"], 5])
  end
end
