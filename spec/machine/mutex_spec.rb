# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM::Mutex do
  include SpecSupport::MachineHelpers

  let(:mutex) { described_class.new }
  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:log) { [] }

  def machine_class = UM

  # A fiber that has the mutex until it is scheduled.
  def holding = parked { machine.synchronize(mutex) { machine.yield } }

  # Fibers in line for the mutex; each logs its number inside.
  def waiting(count)
    Array.new(count) { |number| parked { machine.synchronize(mutex) { log << number } } }
  end

  def free? = machine.synchronize(mutex) { true }

  # A thread that stops, outside of its machine, after the block.
  def stopped_thread
    ready = Queue.new
    thread = Thread.new do
      Thread.current.report_on_exception = false
      yield(machine_class.new).then { ready << true } && sleep
    end
    ready.pop
    thread
  end

  # A thread with a fiber inside, and a machine that doesn't run any more.
  def thread_inside
    stopped_thread { |own| own.spin { own.synchronize(mutex) { own.sleep(0) } } && own.snooze }
  end

  # A thread that has left a fiber inside.
  def ended_thread_inside = thread_inside.kill.join

  # A thread that has left a fiber in line.
  def ended_thread_in_line
    stopped_thread { |own| own.spin { own.synchronize(mutex) { log << :dead } } && own.snooze }.kill.join
  end

  it "gives the value of the block", :gc do
    expect(machine.synchronize(mutex) { "value" }).to eq("value")
  end

  it "makes no operation when nobody else has it" do
    machine.synchronize(mutex) { nil }
    expect(machine.metrics.values_at(:total_ops, :total_switches, :ops_free)).to eq([0, 0, 0])
  end

  it "is free after whatever ended the block" do
    expect { machine.synchronize(mutex) { raise stop } }.to raise_error(stop)
    expect(catch(:out) { machine.synchronize(mutex) { throw :out, 1 } }).to eq(1)
    expect(machine.synchronize(mutex) { break 1 }).to eq(1)
    fiber = holding
    machine.schedule(fiber, stop.new)
    expect([machine.join(fiber), free?]).to match([be_a(stop), true])
  end

  it "lets one fiber in at a time" do
    inside = most = 0
    bodies = Array.new(8) do
      lambda do
        3.times do
          machine.synchronize(mutex) do
            most = [most, inside += 1].max
            machine.snooze
            inside -= 1
          end
        end
      end
    end
    machine.join(bodies)
    expect([inside, most]).to eq([0, 1])
  end

  it "is handed to those in line in order, and nobody overtakes them" do
    holder = holding
    fibers = waiting(3)
    machine.schedule(holder, nil)
    machine.join(holder)
    machine.synchronize(mutex) { log << :late }
    machine.join(fibers)
    expect(log).to eq([0, 1, 2, :late])
  end

  it "goes round among fibers that come again" do
    bodies = Array.new(3) do |number|
      -> { 2.times { machine.synchronize(mutex) { (log << number) && machine.snooze } } }
    end
    machine.join(bodies)
    expect(log).to eq([0, 1, 2, 0, 1, 2])
  end

  it "refuses the fiber that has it already, and stays usable" do
    machine.synchronize(mutex) do
      expect { machine.synchronize(mutex) { nil } }.to raise_error(UM::Error, /deadlock/)
    end
    expect(free?).to be(true)
  end

  it "serves thousands" do
    count = 0
    bodies = Array.new(2000) { -> { machine.synchronize(mutex) { machine.snooze || (count += 1) } } }
    machine.join(bodies)
    expect(count).to eq(2000)
  end

  it "keeps its waiters through collections and compaction", :gc do
    holder = holding
    fibers = waiting(3)
    GC.compact if GC.respond_to?(:compact)
    machine.schedule(holder, nil)
    machine.join(fibers)
    expect(log).to eq([0, 1, 2])
  end

  describe "an interrupted wait" do
    it "leaves the line" do
      holder = holding
      fibers = waiting(3)
      machine.schedule(fibers[1], stop.new)
      machine.schedule(holder, nil)
      expect([machine.join(fibers)[1], log]).to match([be_a(stop), [0, 2]])
    end

    it "passes on what it was handed in the same turn" do
      holder = holding
      first, second = waiting(2)
      machine.schedule(holder, nil)
      machine.schedule(first, stop.new)
      # The holder leaves and hands over before the first runs.
      expect([machine.join(first), soon { machine.join(second) }, log]).to match([be_a(stop), [1], [1]])
    end

    it "may be a timeout" do
      holder = holding
      expect(machine.timeout(0.001, :late) { machine.synchronize(mutex) { :inside } }).to eq(:late)
      machine.schedule(holder, nil)
      expect(free?).to be(true)
    end

    it "ends with a plain value that the fiber is scheduled with, and without the block" do
      holder = holding
      fiber = waiting(1).first
      machine.schedule(fiber, :value)
      expect([machine.join(fiber), log]).to eq([:value, []])
      machine.schedule(holder, nil)
      expect(free?).to be(true)
    end

    it "of many at once loses nothing" do
      30.times do
        holder = holding
        inside = -> { machine.synchronize(mutex) { machine.snooze || :in } }
        fibers = Array.new(6) { parked { machine.timeout(0.0003, :late, &inside) } }
        sleep(0.0003)
        machine.schedule(holder, nil)
        expect(machine.join(fibers)).to all(eq(:in).or(eq(:late)).or(be_nil))
        expect(soon { free? }).to be(true)
      end
    end
  end

  describe "between threads" do
    it "lets one fiber in at a time" do
      count = 0
      threads = Array.new(6) do
        Thread.new do
          own = machine_class.new
          adding = lambda do
            value = count
            value.even? ? own.snooze : Thread.pass
            count = value + 1
          end
          own.join(Array.new(5) { -> { 20.times { own.synchronize(mutex, &adding) } } })
        end
      end
      threads.each(&:join)
      expect(count).to eq(600)
    end

    it "is free after Thread#kill inside" do
      thread = Thread.new { machine_class.new.then { |own| own.synchronize(mutex) { own.sleep(0) } } }
      Thread.pass until thread.stop?
      thread.kill.join
      expect(free?).to be(true)
    end

    it "is free after a thread has ended that had left a fiber inside" do
      ended_thread_inside
      expect(soon { free? }).to be(true)
    end

    it "goes to those in line, in order, when a thread has ended inside", :gc do
      [lambda(&:kill), ->(thread) { thread.raise(stop) }].each do |ends|
        thread = thread_inside
        fibers = waiting(2)
        error_of { ends.call(thread) && thread.join }
        soon { machine.join(fibers) }
      end
      expect(log).to eq([0, 1, 0, 1])
    end

    it "wakes a machine that waits when a thread has ended inside" do
      thread = thread_inside
      waiting = Thread.new { machine_class.new.synchronize(mutex) { :in } }
      Thread.pass until waiting.stop?
      thread.kill.join
      expect([waiting.join(10)&.value, free?]).to eq([:in, true])
    end

    it "goes to those in line when a thread has ended whose turn had come" do
      holder = holding
      thread = stopped_thread { |own| own.spin { own.synchronize(mutex) { log << :dead } } && own.snooze }
      fibers = waiting(2)
      machine.schedule(holder, nil)
      machine.join(holder)
      thread.kill.join
      expect([soon { machine.join(fibers) }, log]).to eq([[log, log], [0, 1]])
    end

    it "stays with its holder when other threads end" do
      holder = holding
      fibers = waiting(1)
      ended_thread_in_line
      Thread.new { machine_class.new.sleep(0.001) }.join
      snooze
      expect(log).to eq([])
      machine.schedule(holder, nil)
      machine.join(fibers)
    end

    it "may be many that a thread has left at its end" do
      mutexes = Array.new(20) { described_class.new }
      thread = stopped_thread do |own|
        mutexes.each { |one| own.spin { own.synchronize(one) { own.sleep(0) } } }
        own.snooze
      end
      fibers = mutexes.each_with_index.map { |one, number| parked { machine.synchronize(one) { number } } }
      thread.kill.join
      expect(soon { machine.join(fibers) }).to eq([*0...20])
    end

    it "passes over a thread that ended in line, or when its turn had come" do
      holder = holding
      in_line = lambda do
        stopped_thread { |own| own.spin { own.synchronize(mutex) { log << :dead } } && own.snooze }
      end
      first, second = Array.new(2) { in_line.call }
      first.kill.join
      machine.schedule(holder, nil)
      machine.join(holder)
      second.kill.join
      expect([soon { free? }, log]).to eq([true, []])
    end
  end

  it "is free in a forked child where a fiber of the parent has it" do
    holder = holding
    pid = fork do
      own = machine_class.new
      exit!(own.timeout(10, 1) { own.synchronize(mutex) { 7 } })
    end
    expect(Process.wait2(pid).last.exitstatus).to eq(7)
    machine.schedule(holder, nil)
    expect(free?).to be(true)
  end

  describe "in a forked child" do
    # What the block has written there; it gets a machine, and what to write to.
    def child_writes
      reader, writer = IO.pipe
      pid = fork do
        machine_class.new.then { |own| own.timeout(10, :hangs) { yield own, writer } }
      ensure
        exit!(0)
      end
      Process.wait(pid)
      writer.close
      reader.read
    ensure
      [reader, writer].each(&:close)
    end

    # A fiber of the child in line, and the running one's turns meanwhile.
    def contend(own, log)
      own.spin { own.synchronize(mutex) { log << "other " } }
      own.snooze
      log << "still "
      own.sleep(0.001)
    end

    it "stays with the fiber that has forked, until that leaves" do
      written = machine.synchronize(mutex) do
        child_writes { |own, log| contend(own, log) }
      end
      expect([written, free?]).to eq(["still ", true])
    end

    it "refuses the fiber that has forked inside" do
      written = machine.synchronize(mutex) do
        child_writes { |own, log| log << error_of { own.synchronize(mutex) { 1 } }.class }
      end
      expect(written).to eq("UringMachine::Error")
    end

    it "goes to the next when the fiber that has forked leaves" do
      reader, writer = IO.pipe
      parent = Process.pid
      own = nil
      begin
        pid = machine.synchronize(mutex) do
          fork.tap { |child| contend(own = machine_class.new, writer) unless child }
        end
        own&.snooze
      ensure
        exit!(0) unless Process.pid == parent
      end
      Process.wait(pid)
      writer.close
      expect(reader.read).to eq("still other ")
      reader.close
    end

    it "is free for a fiber of the parent that has left it inside when another one forks" do
      holder = holding
      fibers = waiting(2)
      written = child_writes do |own, log|
        own.join(Array.new(2) { |number| -> { own.synchronize(mutex) { log << number } } })
      end
      machine.schedule(holder, nil)
      machine.join(fibers)
      expect([written, log]).to eq(["01", [0, 1]])
    end
  end

  describe "bad input" do
    it "is what is no mutex" do
      [nil, 1, Mutex.new, UM::Queue.new, described_class].each do |other|
        expect { machine.synchronize(other) { log << 1 } }.to raise_error(TypeError)
      end
      expect(log).to be_empty
    end

    it "is a mutex that was not initialized, or copied" do
      machine.synchronize(mutex) do
        [described_class.allocate, mutex.dup, mutex.clone].each do |other|
          expect { machine.synchronize(other) { log << 1 } }.to raise_error(UM::Error)
        end
      end
      expect(log).to be_empty
    end

    it "is no block" do
      expect { machine.synchronize(mutex) }.to raise_error(LocalJumpError)
      expect(free?).to be(true)
    end

    it "is the machine of another thread" do
      own = machine
      expect(Thread.new { error_of { own.synchronize(mutex) { 1 } } }.value).to be_a(UM::Error)
    end
  end
end
