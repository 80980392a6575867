# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "pending" do
  include SpecSupport::MachineHelpers

  # What the fibers wait for: `[op, fd]` of each.
  def waits = machine.pending.map { |wait| [wait.op, wait.fd] }

  it "is nothing on a fresh machine" do
    expect([machine.pending, machine.pending_fibers]).to eq([[], Set[]])
  end

  it "names what each fiber waits for" do
    reader, = pipe
    one, = socketpair
    queue = UM::Queue.new
    mutex = UM::Mutex.new
    fibers = {
      [:read, reader] => -> { machine.read(reader, +"", 1) },
      [:recv, one] => -> { machine.recv(one, +"", 1, 0) },
      [:poll, reader] => -> { machine.poll(reader, SpecSupport::MachineHelpers::POLLIN) },
      [:sleep, nil] => -> { machine.synchronize(mutex) { machine.sleep(0) } },
      [:mutex, nil] => -> { machine.synchronize(mutex) { nil } },
      [:queue, nil] => -> { machine.shift(queue) },
      [:yield, nil] => -> { machine.yield },
      [:join, nil] => -> { machine.join(machine.spin { machine.switch }) }
    }.transform_values { |body| parked(&body) }
    machine.snooze
    expect(machine.pending.to_h { |wait| [[wait.op, wait.fd], wait.fiber] }).to eq(fibers)
    expect(machine.pending_fibers).to eq(fibers.values.to_set)
  end

  it "says where the fiber is, and for how long" do
    parked { machine.sleep(0) }
    line = __LINE__ - 1
    machine.sleep(0.02)
    wait = machine.pending.first
    expect(wait.backtrace).to include(a_string_including("#{__FILE__}:#{line}"))
    expect(wait.place).to start_with("#{__FILE__}:#{line}")
    expect(wait.seconds).to be_between(0.01, 20)
    expect(wait.to_s).to match(/\Asleep for \d+\.\d s at /)
  end

  it "lists those who have waited longest first" do
    first = parked { machine.yield }
    machine.sleep(0.02)
    parked { machine.sleep(0) }
    machine.snooze
    expect(machine.pending.first.fiber).to be(first)
  end

  it "forgets a fiber as soon as its wait is over, whichever way" do
    queue = UM::Queue.new
    stop = SpecSupport::MachineHelpers::Stop
    by_value = parked { machine.yield }
    by_exception = parked { machine.yield }
    by_timeout = parked { machine.timeout(0.001, stop) { machine.shift(queue) } }
    machine.schedule(by_value, 1)
    machine.schedule(by_exception, stop.new)
    machine.join(by_value, by_exception, by_timeout)
    expect([waits, machine.pending_fibers]).to eq([[], Set[]])
  end

  it "leaves out fibers that are runnable, in switch, or beside an async operation" do
    machine.spin { machine.snooze }
    parked { machine.switch }
    operation = machine.prep_timeout(10)
    expect(waits).to eq([])
    operation.cancel
  end

  it "is had of another thread's machine" do
    parked { machine.yield }
    own = machine
    expect(Thread.new { own.pending.map(&:op) }.value).to eq([:yield])
  end

  it "has nothing to do with fibers of another machine" do
    parked { machine.sleep(0) }
    expect(described_class.new.pending).to eq([])
  end

  it "holds thousands" do
    fibers = Array.new(3000) { machine.spin { machine.yield } }
    machine.snooze
    expect([machine.pending.size, machine.pending_fibers]).to eq([3000, fibers.to_set])
    expect(machine.inspect.lines.last).to include("and 2980 more")
  end

  describe "in inspect" do
    it "is a line for each, below the figures" do
      parked { machine.yield }
      parked { machine.sleep(0) }
      head, *lines = machine.inspect.lines
      expect(head).to eq("#<UringMachine 2 fibers, 0 runnable, 1 ops pending:\n")
      waits = %w[yield sleep].map { |op| /\A  #<Fiber:.*> #{op} for \d\.\d s at / }
      expect(lines).to match_array(waits)
    end

    it "is nothing where nobody waits" do
      expect(machine.inspect).to eq("#<UringMachine 0 fibers, 0 runnable, 0 ops pending>")
    end

    it "works for what is no machine yet" do
      expect(described_class.allocate.inspect).to eq("#<UringMachine (uninitialized)>")
      expect(Class.new(described_class).allocate.inspect).to include("(uninitialized)")
    end
  end

  it "works in a trap handler" do
    outcome = ruby_program(<<~RUBY)
      require "uringmachine"
      machine = UM.new
      machine.spin { machine.sleep(60) }
      trap(:USR1) { puts machine.inspect.lines.size, machine.pending.map(&:op).inspect }
      machine.snooze
      Process.kill(:USR1, Process.pid)
    RUBY
    expect(outcome.stdout).to eq("2\n[:sleep]\n"), outcome.inspect
  end
end
