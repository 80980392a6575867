# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM::Queue do
  include SpecSupport::MachineHelpers

  let(:queue) { described_class.new }
  let(:stop) { SpecSupport::MachineHelpers::Stop }

  def machine_class = UM

  # Fibers that wait in the queue, in this order.
  def waiting(count, method = :shift)
    Array.new(count) { parked { machine.public_send(method, queue) } }
  end

  # What is in the queue, head first.
  def items = Array.new(queue.count) { machine.shift(queue) }

  # A thread that ends when `leave` is called; the block gets a machine of its own and is done
  # before this comes back.
  def thread_with_machine
    ready = Queue.new
    thread = Thread.new do
      Thread.current.report_on_exception = false
      own = machine_class.new
      yield own
      ready << true
      sleep
    end
    ready.pop
    thread
  end

  # A thread with a fiber that is in line, and a machine that doesn't run any more.
  def thread_in_line
    thread_with_machine { |own| leave_in_line(own) }
  end

  def leave_in_line(own)
    own.spin { own.shift(queue) }
    own.snooze
  end

  describe "with items" do
    it "gives them from both ends" do
      machine.push(queue, 1)
      machine.push(queue, 2)
      machine.unshift(queue, 0)
      expect([queue.count, machine.shift(queue), machine.pop(queue), machine.shift(queue), queue.count])
        .to eq([3, 0, 2, 1, 0])
    end

    it "is what push and unshift return" do
      expect([machine.push(queue, 1), machine.unshift(queue, 2)]).to all(be(queue))
    end

    it "lets nobody else run" do
      other = machine.spin { :ran }
      machine.push(queue, 1)
      machine.shift(queue)
      expect([other.done?, total_ops]).to eq([nil, 0])
    end

    it "gives exceptions back without raising them", :gc do
      error = stop.new("stored")
      machine.push(queue, error)
      machine.push(queue, Interrupt)
      fiber = machine.spin { [machine.shift(queue), machine.shift(queue), machine.shift(queue)] }
      machine.snooze
      machine.push(queue, UM::TERMINATE_EXCEPTION)
      expect(machine.join(fiber)).to eq([error, Interrupt, UM::TERMINATE_EXCEPTION])
    end

    it "takes nil, false and itself" do
      [nil, false, queue].each { |item| machine.push(queue, item) }
      expect(items).to eq([nil, false, queue])
    end

    it "keeps them and its waiters through collections and compaction", :gc do
      fibers = waiting(3)
      10.times { |number| machine.push(queue, "item #{number}") }
      GC.compact if GC.respond_to?(:compact)
      Array.new(50) { "garbage" * 5 }
      expect(machine.join(fibers) + items).to eq(Array.new(10) { |number| "item #{number}" })
    end
  end

  describe "without items" do
    it "makes shift and pop wait" do
      %i[shift pop].product(%i[push unshift]).each do |take, put|
        fiber = waiting(1, take).first
        expect(fiber.done?).to be_nil
        machine.public_send(put, queue, put)
        expect([machine.join(fiber), queue.count]).to eq([put, 0])
      end
    end

    it "serves those who wait in order, whichever end they take from" do
      fibers = [*waiting(2, :pop), *waiting(2, :shift), *waiting(1, :pop)]
      fibers.each_index { |number| machine.push(queue, number) && snooze }
      expect(machine.join(fibers)).to eq([0, 1, 2, 3, 4])
    end

    it "wakes one fiber for each item" do
      fibers = waiting(3)
      machine.push(queue, :item)
      snooze
      expect([fibers.map(&:done?), queue.count]).to eq([[true, nil, nil], 0])
      machine.push(queue, :item)
      machine.push(queue, :item)
      machine.join(fibers)
    end

    it "keeps an item for who was called, though another fiber asks first" do
      first = waiting(1).first
      machine.push(queue, 1)
      machine.spin { machine.push(queue, 2) }
      expect([machine.shift(queue), machine.join(first)]).to eq([2, 1])
    end

    it "serves thousands" do
      fibers = Array.new(3000) { machine.spin { machine.shift(queue) } }
      machine.snooze
      3000.times { |number| machine.push(queue, number) }
      expect(machine.join(fibers)).to eq((0...3000).to_a)
    end

    it "gives an item to a fiber that belongs to another machine of the thread" do
      fiber = waiting(1).first
      machine_class.new.push(queue, :item)
      expect(machine.join(fiber)).to eq(:item)
    end
  end

  describe "an interrupted wait" do
    it "leaves the line" do
      first, second = waiting(2)
      machine.schedule(first, stop.new)
      snooze
      machine.push(queue, :item)
      expect([machine.join(first), machine.join(second), queue.count]).to match([be_a(stop), :item, 0])
    end

    it "ends with a plain value that the fiber is scheduled with" do
      fiber = waiting(1).first
      machine.schedule(fiber, :value)
      machine.push(queue, :item)
      expect([machine.join(fiber), items]).to eq([:value, [:item]])
    end

    it "passes an item on that was promised in the same turn" do
      first, second = waiting(2)
      machine.schedule(first, stop.new)
      machine.push(queue, :item)
      expect([machine.join(first), machine.join(second), queue.count]).to match([be_a(stop), :item, 0])
    end

    it "leaves an item that nobody waits for any more" do
      fiber = waiting(1).first
      machine.schedule(fiber, stop.new)
      machine.push(queue, :item)
      expect([machine.join(fiber), items]).to match([be_a(stop), [:item]])
    end

    it "that comes after its item is for the next wait" do
      fiber = parked { [machine.shift(queue), error_of { machine.sleep(0) }] }
      machine.push(queue, :item)
      machine.schedule(fiber, stop.new)
      expect(machine.join(fiber)).to match([:item, be_a(stop)])
    end

    it "has its item, or leaves it, when the timeout and the push come at once" do
      40.times do |round|
        fiber = parked { machine.timeout(0.0005, :late) { machine.shift(queue) } }
        sleep(0.0005) if round.odd?
        machine.push(queue, :item)
        expect([machine.join(fiber), items]).to eq([:item, []]).or eq([:late, [:item]])
      end
    end

    it "of thousands leaves one who is served" do
      fibers = waiting(2000)
      machine.terminate(fibers.first(1999))
      machine.push(queue, :item)
      expect(soon { machine.join(fibers.last) }).to eq(:item)
      expect(machine.join(fibers.first(1999))).to all(be_a(UM::Terminate))
    end
  end

  describe "between threads" do
    it "wakes a machine that waits" do
      thread = Thread.new { machine_class.new.then { |own| own.sleep(0.005) && own.push(queue, :item) } }
      expect([machine.shift(queue), thread.value]).to eq([:item, queue])
    end

    it "serves in order those who wait in several threads" do
      log = Queue.new
      fiber = waiting(1).first
      thread = Thread.new { machine_class.new.then { |own| (log << :begun) && own.shift(queue) } }
      log.pop && Thread.pass until thread.stop?
      machine.push(queue, 1)
      machine.push(queue, 2)
      expect([machine.join(fiber), thread.value]).to eq([1, 2])
    end

    it "loses and doubles nothing, also where waits time out" do
      taken = Queue.new
      consumers = Array.new(4) { Thread.new { consume(machine_class.new, taken) } }
      producers = Array.new(4) do |number|
        Thread.new do
          own = machine_class.new
          500.times { |turn| own.push(queue, [number, turn]) && Thread.pass }
        end
      end
      producers.each(&:join)
      12.times { machine.push(queue, :end) }
      consumers.each(&:join)
      expect(Array.new(taken.size) { taken.pop }.sort).to eq([*0..3].product([*0..499]))
    end

    def consume(own, taken)
      own.join(Array.new(3) do |number|
        own.spin do
          loop do
            item = number.zero? ? own.timeout(0.0005, :late) { own.shift(queue) } : own.shift(queue)
            break if item == :end

            taken << item unless item == :late
          end
        end
      end)
    end

    it "can be pushed to by way of a machine of another thread" do
      own = machine
      Thread.new { own.push(queue, 2) && own.unshift(queue, 1) }.join
      expect(items).to eq([1, 2])
    end

    it "may not be waited in by way of one" do
      own = machine
      errors = Thread.new { %i[shift pop].map { |method| error_of { own.public_send(method, queue) } } }.value
      expect(errors).to all(be_a(UM::Error))
    end
  end

  describe "a thread that ends with a fiber in line" do
    it "is passed over" do
      [
        -> { thread_in_line.kill.join },
        -> { Thread.new { leave_in_line(machine_class.new) }.join },
        -> { thread_in_line.tap { |thread| thread.raise(stop) }.join(10) }
      ].each do |ended|
        error_of(&ended)
        machine.push(queue, :item)
        expect(soon { machine.shift(queue) }).to eq(:item)
      end
    end

    it "is passed over when its root fiber waits" do
      thread = Thread.new { machine_class.new.shift(queue) }
      Thread.pass until thread.stop?
      thread.kill.join
      machine.push(queue, :item)
      expect(soon { machine.shift(queue) }).to eq(:item)
    end

    it "takes no item with it that it was promised" do
      thread = thread_in_line
      machine.push(queue, 1)
      thread.kill.join
      expect(soon { machine.shift(queue) }).to eq(1)
    end

    it "gives way to those behind it once the queue is used" do
      thread = thread_in_line
      fibers = waiting(2)
      machine.push(queue, 1)
      thread.kill.join
      machine.push(queue, 2)
      expect(soon { machine.join(fibers) }).to eq([1, 2])
    end

    it "gives way to those behind it, though nobody uses the queue" do
      thread = thread_in_line
      fiber = waiting(1).first
      machine.push(queue, :item)
      thread.kill.join
      expect(soon { machine.join(fiber) }).to eq(:item)
    end

    it "is not mistaken for a later one on the same native thread" do
      20.times do
        Thread.new { leave_in_line(machine_class.new) }.join
        thread = Thread.new do
          own = machine_class.new
          own.push(queue, :item)
          own.timeout(10, :lost) { own.shift(queue) }
        end
        expect(thread.value).to eq(:item)
      end
    end
  end

  it "has items for a forked child that were promised in the parent" do
    fiber = waiting(1).first
    machine.push(queue, :item)
    reader, writer = IO.pipe
    pid = fork do
      own = machine_class.new
      writer.syswrite(own.timeout(10, :lost) { own.shift(queue) }.to_s)
    ensure
      exit!(0)
    end
    Process.wait(pid)
    expect([reader.readpartial(10), machine.join(fiber)]).to eq(["item", :item])
    [reader, writer].each(&:close)
  end

  describe "bad input" do
    def calls(queue)
      %i[push unshift].map { |name| -> { machine.public_send(name, queue, 1) } } +
        %i[shift pop].map { |name| -> { machine.public_send(name, queue) } }
    end

    it "is what is no queue" do
      [nil, 1, "", [], Queue.new, UM::Mutex.new, machine, described_class].each do |other|
        calls(other).each { |call| expect(&call).to raise_error(TypeError) }
      end
      expect([total_ops, pending]).to eq([0, 0])
    end

    it "is a queue that was not initialized, or copied" do
      machine.push(queue, 1)
      bare = Class.new(described_class) { def initialize = nil }.new
      [described_class.allocate, bare, queue.dup, queue.clone].each do |other|
        calls(other).each { |call| expect(&call).to raise_error(UM::Error) }
        expect { other.count }.to raise_error(UM::Error)
      end
      expect(items).to eq([1])
    end

    it "is a frozen queue" do
      machine.push(queue, 1)
      queue.freeze
      calls(queue).each { |call| expect(&call).to raise_error(FrozenError) }
      expect(queue.count).to eq(1)
    end

    it "is an argument too many" do
      expect { described_class.new(1) }.to raise_error(ArgumentError)
    end

    it "does not empty a queue that is initialized twice" do
      machine.push(queue, 1)
      queue.__send__(:initialize)
      expect(items).to eq([1])
    end
  end
end
