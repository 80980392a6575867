# frozen_string_literal: true

require_relative "../support/parked"
require_relative "../support/queue_model"

RSpec.describe Polyphony::Queue, :polyphony do
  include SpecSupport::Parked

  let(:queue) { described_class.new }
  let(:log) { [] }

  def capped(limit) = described_class.new(limit)

  # Pushes and logs it.
  def producer(name, items, to = queue)
    spin do
      items.each do |item|
        to.push(item)
        log << :"#{name}#{item}"
      end
    end
  end

  # Takes and logs it.
  def consumer(name, count, from = queue)
    spin { count.times { log << :"#{name}#{from.shift}" } }
  end

  describe "items" do
    it "come out in order, by whichever name" do
      queue.push(1) << 2
      queue.enq(3).unshift(0)
      expect([queue.shift, queue.pop, queue.deq, queue.shift]).to eq([0, 1, 2, 3])
    end

    it "may be anything" do
      error = RuntimeError.new("stored")
      items = [nil, false, queue, error, Interrupt]
      items.each { |item| queue << item }
      expect(Array.new(items.size) { queue.shift }).to eq(items)
    end

    it "are counted" do
      3.times { |number| queue << number }
      expect([queue.size, queue.length, queue.empty?]).to eq([3, 3, false])
      3.times { queue.shift }
      expect([queue.size, queue.empty?]).to eq([0, true])
    end

    it "are taken by a block, or all at once" do
      4.times { |number| queue << number }
      expect(queue.shift_each { |item| log << item }).to be(queue)
      expect(log).to eq([0, 1, 2, 3])
      queue << 4 << 5
      expect([queue.shift_all, queue.shift_all, queue.size]).to eq([[4, 5], [], 0])
    end

    it "stay where the block that takes them is left" do
      4.times { |number| queue << number }
      queue.shift_each { |item| break if item == 1 }
      expect(queue.shift_all).to eq([2, 3])
    end

    it "are taken out by identity, and all of them by clear" do
      text = +"b"
      queue << "a" << text << +"b" << text
      expect(queue.delete(text).delete("none")).to be(queue)
      expect(queue.shift_all).to eq(%w[a b b])
      expect((queue << 1).clear.size).to eq(0)
    end

    it "are taken without waiting if that is asked for" do
      queue << 1
      expect(queue.shift(true)).to eq(1)
      expect { queue.pop(true) }.to raise_error(ThreadError, "queue empty")
    end
  end

  describe "taking" do
    it "lets those run first who are runnable" do
      queue << 1
      spin { log << :other }
      expect([queue.shift, log]).to eq([1, [:other]])
    end

    it "waits for an item, in order" do
      fibers = parked(3) { queue.shift }
      expect([queue.num_waiting, queue.pending?]).to eq([3, true])
      queue << :a << :b << :c
      expect(Fiber.await(fibers)).to eq(%i[a b c])
      expect([queue.num_waiting, queue.pending?]).to eq([0, false])
    end

    it "goes on waiting when the fiber is scheduled with a value" do
      fiber = parked { queue.shift }.first
      Polyphony.machine.schedule(fiber, :value)
      2.times { snooze }
      queue << :item
      expect(fiber.await).to eq(:item)
    end

    it "serves thousands" do
      fibers = parked(3000) { queue.shift }
      3000.times { |number| queue << number }
      expect(Fiber.await(fibers)).to eq((0...3000).to_a)
    end
  end

  describe "with a limit" do
    it "tells it, and can have another" do
      expect([queue.capped?, capped(42).capped?, queue.cap(3).capped?, queue.cap(nil).capped?])
        .to eq([nil, 42, 3, nil])
    end

    it "hands over one by one where somebody takes" do
      to = capped(3)
      Fiber.await(producer(:p, 1..5, to), consumer(:s, 5, to))
      expect(log).to eq(%i[p1 s1 p2 s2 p3 s3 p4 s4 p5 s5])
    end

    it "makes those wait who give, until there is room" do
      to = capped(2)
      fiber = producer(:p, 1..3, to)
      6.times { snooze }
      expect([log, to.size, to.empty?]).to eq([%i[p1 p2], 2, false])
      expect([to.shift, fiber.await, to.shift_all]).to eq([1, 1..3, [2, 3]])
    end

    it "lets in who waits when something is taken out by other means, or the limit is raised" do
      ways = [-> { _1.shift(true) }, -> { _1.delete(:item) }, lambda(&:clear), lambda(&:shift_all),
              -> { _1.shift_each { nil } }, -> { _1.cap(2) }, -> { _1.cap(nil) }]
      ways.each do |way|
        to = capped(1) << :item
        fiber = parked { to.push(:other) }.first
        way.call(to)
        expect(soon { fiber.await }).to be(to)
        expect(to.shift_all.last).to eq(:other)
      end
    end

    it "loses nothing of those who are interrupted, and keeps nobody waiting" do
      to = capped(1) << 1
      first, second = parked(2) { |number| to.push("of #{number}") }
      interrupt(first)
      to.shift(true)
      expect([first.await, soon { second.await }, to.shift_all]).to match([be_a(StandardError), to, ["of 1"]])
    end
  end

  it "makes fibers run in the same order as the original" do
    60.times do
      seed = Random.new_seed % 1_000_000
      program = SpecSupport::QueueModel::Program.new(seed)
      expect(program.log_of_queue).to eq(program.log_of_model), "seed #{seed}"
    end
  end

  describe "a fiber that is interrupted in line" do
    it "leaves it" do
      first, second, third = parked(3) { queue.shift }
      terminate(second)
      snooze
      queue << :a << :b
      expect(Fiber.await(first, second, third)).to eq([:a, nil, :b])
    end

    it "lets another one go on for it where it was called already" do
      first, second = parked(2) { queue.shift }
      interrupt(first)
      queue << :item
      expect([first.await, soon { second.await }]).to match([be_a(StandardError), :item])
    end

    it "leaves the item where nobody else waits" do
      fiber = parked { queue.shift }.first
      interrupt(fiber)
      queue << :item
      expect([fiber.await, queue.shift_all]).to match([be_a(StandardError), [:item]])
    end

    it "leaves the item that it found there" do
      queue << :item
      fiber = spin { queue.shift }
      spin do
        terminate(fiber)
        queue << :other # which puts the fiber behind the others once more
      end
      expect([fiber.await, queue.shift_all]).to eq([nil, %i[item other]])
    end

    it "has its item or leaves it, when the timeout comes at the same time" do
      30.times do
        fiber = parked { move_on_after(0.0005, with_value: :late) { queue.shift } }.first
        Thread.pass
        Polyphony.pause(0.0005)
        queue << :item
        expect([fiber.await, queue.shift_all]).to eq([:item, []]).or eq([:late, [:item]])
      end
    end
  end

  describe "closed" do
    it "gives nil to those who wait, and what is left to those who come" do
      fibers = parked(2) { queue.shift }
      expect([queue.closed?, queue.close, queue.closed?]).to eq([false, queue, true])
      expect(Fiber.await(fibers)).to eq([nil, nil])
      left = (described_class.new << 1).close
      expect([left.shift, error_of { left.shift }]).to match([1, be_a(ClosedQueueError)])
    end

    it "takes nothing, also from those who wait to give" do
      to = capped(1) << 1
      fiber = spin { error_of { to << 2 } }
      snooze
      to.close
      expect(fiber.await).to be_a(ClosedQueueError)
      expect { to << 3 }.to raise_error(ClosedQueueError)
      expect { queue.close.close.unshift(1) }.to raise_error(ClosedQueueError)
    end
  end

  describe "flush_waiters" do
    it "gives them a value, nil as well" do
      [:value, nil, [1]].each do |value|
        fibers = parked(2) { queue.shift }
        expect(queue.flush_waiters(value)).to be(queue)
        expect(Fiber.await(fibers)).to eq([value, value])
      end
    end

    it "raises an exception in them, and leaves those alone who come later", :gc do
      fibers = parked(2) { queue.shift }
      queue.flush_waiters(SpecSupport::Parked::Interrupted.new("flushed"))
      expect(Fiber.await(fibers)).to all(be_a(StandardError))
      queue << 1
      expect(queue.shift).to eq(1)
    end
  end

  describe "between threads" do
    it "gives what another thread pushes" do
      thread = Thread.new { sleep(0.002) && queue.push(:item) }
      expect([queue.shift, thread.value]).to eq([:item, queue])
    end

    it "makes a plain thread wait, without any scheduler" do
      thread = Thread.new { [queue.shift, Fiber.scheduler] }
      Thread.pass until thread.stop?
      queue << :item
      expect(thread.value).to eq([:item, nil])
    end

    it "makes a thread wait for room" do
      to = capped(1)
      thread = Thread.new { 50.times { |number| to << number } }
      expect(Array.new(50) { to.shift }).to eq((0...50).to_a)
      thread.join
    end

    it "passes over the fibers of a thread that has ended" do
      thread = thread_with_fiber { queue.shift }
      fiber = parked { queue.shift }.first
      queue << :item
      thread.kill.join
      expect(soon { fiber.await }).to eq(:item)
    end

    it "passes over those of a thread that wait for room" do
      to = capped(1) << 1
      thread = thread_with_fiber { to << :lost }
      fiber = parked { to << :kept }.first
      to.shift(true)
      thread.kill.join
      soon { fiber.await }
      expect(to.shift_all).to eq([:kept])
    end
  end

  it "has its items in a forked child, and none of its waiters" do
    fiber = parked { queue.shift }.first
    queue << :item
    expect(in_child { [queue.num_waiting, queue.shift, queue.size] }).to eq("[0, :item, 0]")
    expect(fiber.await).to eq(:item)
  end

  it "waits in the root fiber of a program, for fibers and threads" do
    outcome = ruby_program(<<~RUBY)
      require "polyphony"
      queue = Polyphony::Queue.new
      spin { sleep 0.001; queue << :fiber }
      p queue.shift
      Thread.new { queue << :thread }
      p queue.shift
    RUBY
    expect(outcome.stdout).to eq(":fiber\n:thread\n"), outcome.stderr
  end

  it "refuses bad input" do
    [-> { capped(-1) }, -> { queue.cap(-1) }].each { |call| expect(&call).to raise_error(ArgumentError) }
    [-> { capped("1") }, -> { queue.cap(:x) }].each { |call| expect(&call).to raise_error(TypeError) }
    expect { described_class.allocate.shift }.to raise_error(UM::Error)
    expect { queue.shift_each }.to raise_error(LocalJumpError)
    expect { queue.freeze.push(1) }.to raise_error(FrozenError)
  end

  # Fibers of two threads push and take, some give up, and some are interrupted at any time.
  it "loses and doubles nothing, whatever happens to its users" do
    seed = Random.new_seed % 1_000_000
    pushed = Thread::Queue.new
    taken = Thread::Queue.new
    to = capped(Random.new(seed).rand(1..5))
    workers = [1, 2].map { |salt| Thread.new { stress(Random.new(seed + salt), to, pushed, taken) } }
    stress(Random.new(seed), to, pushed, taken)
    workers.each(&:join)
    rest = to.cap(nil).shift_all
    left, all = [taken, pushed].map { |list| Array.new(list.size) { list.pop } }
    expect((left + rest).sort).to eq(all.sort), "seed #{seed}"
    expect([to.num_waiting, to.empty?]).to eq([0, true]), "seed #{seed}"
  end

  def stress(random, to, pushed, taken)
    machine = Polyphony.machine
    fibers = Array.new(20) do |number|
      turns = Array.new(20) { [random.rand, random.rand] }
      machine.spin { number.even? ? give(machine, turns, to, pushed) : take(machine, turns, to, taken) }
    end
    disturb(machine, fibers, random)
  end

  def give(machine, turns, to, pushed)
    turns.each do |limit, chance|
      item = rand
      machine.timeout(limit / 1000, SpecSupport::Parked::Interrupted) { to << item }
      pushed << item
      machine.snooze if chance < 0.3
    rescue SpecSupport::Parked::Interrupted
      # It is out of line. Had it pushed before it was interrupted, it would be in `pushed`, as
      # nothing waits in between.
      next
    end
  end

  def take(machine, turns, to, taken)
    turns.each do |limit, chance|
      taken << machine.timeout(limit / 1000, SpecSupport::Parked::Interrupted) { to.shift }
      machine.snooze if chance < 0.3
    rescue SpecSupport::Parked::Interrupted
      next
    end
  end
end
