# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "threads" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:log) { Queue.new }

  # A thread that has reported `:ready` and waits.
  def waiting_thread
    thread = Thread.new do
      Thread.current.report_on_exception = false
      yield described_class.new
    end
    expect(log.pop).to eq(:ready)
    Thread.pass until thread.status == "sleep"
    thread
  end

  describe "Thread#machine" do
    # That of the main thread stays.
    before(:context) { Thread.current.machine }

    it "is one for each thread, made when first asked for" do
      own = Thread.current.machine
      expect(Thread.current.machine).to be(own)
      expect(own).to be_a(described_class)
      others = Thread.new { Array.new(2) { Thread.current.machine } }.value
      expect(others).to all(be_a(described_class).and(be(others.first)))
      expect(others).not_to include(own)
    end

    it "is the same in all fibers of the thread" do
      own = Thread.current.machine
      expect(Fiber.new { Thread.current.machine }.resume).to be(own)
    end

    it "of another thread is that thread's" do
      thread = Thread.new { (log << Thread.current.machine) && Thread.stop }
      other = log.pop
      expect(thread.machine).to be(other)
    ensure
      thread.kill.join
    end
  end

  describe "waking from another thread" do
    it "happens by schedule" do
      fiber = parked { machine.yield }
      own = machine
      Thread.new { sleep(0.005) && own.schedule(fiber, :value) }
      expect(machine.join(fiber)).to eq(:value)
    end

    it "happens by schedule and wakeup" do
      fiber = parked { machine.yield }
      own = machine
      Thread.new { sleep(0.005) && own.schedule(fiber, :value) && own.wakeup }
      expect(machine.join(fiber)).to eq(:value)
    end

    it "raises a scheduled exception" do
      fiber = parked { machine.sleep(0) }
      own = machine
      Thread.new { own.schedule(fiber, stop.new) }
      expect(machine.join(fiber)).to be_a(stop)
    end

    it "loses none of thousands" do
      own = machine
      fiber = parked { Array.new(4000) { own.yield } }
      threads = Array.new(4) do |number|
        Thread.new { 1000.times { |turn| own.schedule(fiber, [number, turn]) && Thread.pass } }
      end
      result = machine.join(fiber)
      threads.each(&:join)
      expect(result.uniq.size).to eq(4000)
      turns = Array.new(4) { |number| result.filter_map { |from, turn| turn if from == number } }
      expect(turns).to eq([(0...1000).to_a] * 4)
    end

    it "by wakeup alone changes nothing" do
      own = machine
      thread = Thread.new { 20.times { own.wakeup && Thread.pass } }
      expect([machine.sleep(0.01), own.wakeup]).to eq([0.01, nil])
      thread.join
    end
  end

  describe "other threads" do
    it "run while the machine waits" do
      reader, writer = pipe
      thread = Thread.new { 100.times { Thread.pass } && as_io(writer).syswrite("done") }
      soon { machine.read(reader, buffer = +"", 4) && expect(buffer).to(eq("done")) }
      thread.join
    end

    it "wait and read on machines of their own" do
      threads = Array.new(8) do
        Thread.new do
          own = described_class.new
          reader, writer = described_class.pipe
          fiber = own.spin { Array.new(50) { (+"").tap { |buffer| own.read(reader, buffer, 1) } }.join }
          50.times { own.write(writer, "x") && own.snooze }
          own.join(fiber).tap { [reader, writer].each { |fd| own.close(fd) } }
        end
      end
      expect(threads.map(&:value)).to eq(["x" * 50] * 8)
    end

    it "may not use this one" do
      own = machine
      reader, = pipe
      calls = [
        -> { own.sleep(0.001) }, -> { own.spin { nil } }, -> { own.snooze }, -> { own.yield },
        -> { own.switch }, -> { own.tee(reader, reader, 1) },
        -> { own.read(reader, +"", 1) }, -> { own.write(reader, "x") }, -> { own.close(reader) },
        -> { own.join(own.spin { nil }) }, -> { own.await }, -> { own.timeout(1, stop) { nil } },
        -> { own.periodically(1) { nil } }, -> { own.poll(reader, 1) }, -> { own.select([], [], []) },
        -> { own.accept(reader) }, -> { own.accept_each(reader) { nil } }, -> { own.open("/", 0) },
        -> { own.connect(reader, "127.0.0.1", 1) }, -> { own.send(reader, "x", -1, 0) },
        -> { own.recv(reader, +"", 1, 0) }, -> { own.splice(reader, reader, 1) },
        -> { own.terminate }, -> { own.submit }
      ]
      errors = Thread.new { calls.map { |call| error_of(&call) } }.value
      expect(errors).to all(be_a(described_class::Error))
      expect([total_ops, pending]).to eq([0, 0])
    end
  end

  describe "an exception from outside" do
    it "reaches the main fiber by Thread#raise, whichever fiber waits for the machine" do
      thread = waiting_thread do |own|
        3.times { own.spin { own.sleep(0) } }
        own.spin { (log << :ready) && own.sleep(0) }
        begin
          own.sleep(0)
        rescue stop => e
          log << e
          own.sleep(0.001)
        end
      end
      thread.raise(stop)
      expect(thread.value).to eq(0.001)
      expect(log.pop).to be_a(stop)
    end

    it "interrupts a read, and the buffer can be used" do
      reader, writer = pipe
      thread = waiting_thread do |own|
        buffer = +"before"
        begin
          log << :ready
          own.read(reader, buffer, 100, -1)
        rescue stop
          log << :interrupted
          own.read(reader, buffer << "!", 100, -1)
          buffer
        end
      end
      thread.raise(stop)
      log.pop
      machine.write(writer, "later")
      expect(thread.value).to eq("before!later")
    end

    it "interrupts with Timeout.timeout" do
      expect { Timeout.timeout(0.01) { machine.sleep(0) } }.to raise_error(Timeout::Error)
      expect([pending, machine.sleep(0.001)]).to eq([0, 0.001])
    end

    it "interrupts with Timeout.timeout while spun fibers wait" do
      fibers = Array.new(3) { machine.spin { machine.sleep(0) } }
      expect { Timeout.timeout(0.01) { machine.join(fibers) } }.to raise_error(Timeout::Error)
      expect(fibers.map(&:done?)).to eq([nil] * 3)
    end

    it "comes after a section that defers it" do
      thread = waiting_thread do |own|
        Thread.handle_interrupt(stop => :never) do
          log << :ready
          log << own.sleep(0.05)
        end
      end
      thread.raise(stop)
      expect { thread.value }.to raise_error(stop)
      expect(log.pop).to eq(0.05)
    end

    it "ends the thread by Thread#kill, with ensure blocks run" do
      reader, = pipe
      thread = waiting_thread do |own|
        own.spin do
          own.read(reader, +"", 10)
        ensure
          log << :spun
        end
        own.snooze
        begin
          log << :ready
          own.sleep(0)
        ensure
          log << own.sleep(0.001)
        end
      end
      expect(thread.kill.join(5)).to be(thread)
      expect(Array.new(log.size) { log.pop }).to include(0.001)
    end

    it "ends the thread by Thread#kill in a read" do
      reader, = pipe
      thread = waiting_thread { |own| (log << :ready) && own.read(reader, +"", 10) }
      expect(thread.kill.join(5)).to be(thread)
    end

    it "ends a thread whose spun fiber computes" do
      thread = waiting_thread_that_computes
      expect(thread.kill.join(5)).to be(thread)
    end

    def waiting_thread_that_computes
      thread = Thread.new do
        own = described_class.new
        own.spin { (log << :ready) && loop { nil } }
        own.sleep(0)
      end
      log.pop
      thread
    end
  end

  describe "a thread that ends" do
    it "may leave fibers that wait" do
      reader, = pipe
      fibers = Thread.new do
        own = Thread.current.machine
        bodies = [-> { own.read(reader, +"", 10) }, -> { own.sleep(0) }, -> {}]
        bodies.map { |body| own.spin(&body) }.tap { own.snooze }
      end.value
      expect(fibers.map(&:done?)).to eq([nil, nil, true])
    end

    it "may leave fibers that wait in a thousand reads" do
      reader, = pipe
      Thread.new do
        own = described_class.new
        1000.times { own.spin { own.read(reader, +"", 10) } }
        3.times { own.snooze }
        own.submit
      end.join
    end

    it "leaves a machine that can be asked, but not used" do
      own = Thread.new { described_class.new }.value
      expect(own.metrics[:ops_pending]).to eq(0)
      expect { own.sleep(0.001) }.to raise_error(described_class::Error)
    end
  end
end
