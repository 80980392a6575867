# frozen_string_literal: true

require_relative "../support/machine_helpers"
require_relative "../support/scheduled"

RSpec.describe UM, "fairness" do
  include SpecSupport::MachineHelpers
  include SpecSupport::Scheduled

  # Most turns that are taken before the machine looks at the ring.
  def budget = 64

  # Fibers that snooze until the block is done.
  def beside_snoozing(count)
    done = false
    turns = Array.new(count, 0)
    busy = Array.new(count) { |index| machine.spin { (turns[index] += 1) && machine.snooze until done } }
    yield.tap { turns.freeze }
  ensure
    done = true
    machine.join(busy)
  end

  describe "beside fibers that only snooze" do
    it "a timer fires" do
      expect(beside_snoozing(2) { soon { machine.sleep(0.001) } }).to eq(0.001)
    end

    it "a timer fires, when they are a thousand" do
      expect(beside_snoozing(1000) { soon { machine.sleep(0.001) } }).to eq(0.001)
    end

    it "I/O goes on" do
      reader, writer = pipe
      answer = beside_snoozing(2) do
        writing = machine.spin { 20.times { machine.write(writer, "x") } }
        buffer = +""
        soon { machine.read(reader, buffer, 20, -1) until buffer.size == 20 }
        machine.join(writing)
        buffer
      end
      expect(answer).to eq("x" * 20)
    end

    it "other threads are heard" do
      queue = UM::Queue.new
      thread = Thread.new { described_class.new.push(queue, :item) }
      expect(beside_snoozing(2) { soon { machine.shift(queue) } }).to eq(:item)
      thread.join
    end

    it "a process that ends is noticed" do
      reader, writer = pipe
      pid = spawn("exit 0", writer => writer)
      close(writer)
      expect(beside_snoozing(2) { soon { machine.read(reader, +"", 1) } }).to eq(0)
      Process.wait(pid)
    end
  end

  it "gives fibers that snooze their turns one after the other" do
    log = []
    machine.join(Array.new(5) { |number| -> { 40.times { (log << number) && machine.snooze } } })
    expect(log).to eq([0, 1, 2, 3, 4] * 40)
  end

  it "interrupts a fiber that only snoozes" do
    stop = SpecSupport::MachineHelpers::Stop
    expect { machine.timeout(0.001, stop) { loop { machine.snooze } } }.to raise_error(stop)
  end

  it "gives the others their turn beside a socket that is always ready" do
    fd, other = socketpair
    as_socket(other).write("x" * 20_000)
    log = []
    reading = -> { 1000.times { machine.recv(fd, +"", 10, 0) && (log << :read) } }
    snoozing = -> { 1000.times { (log << :snooze) && machine.snooze } }
    machine.join(reading, snoozing)
    together = log.first([log.rindex(:read), log.rindex(:snooze)].min)
    expect(together.chunk(&:itself).map { |_, run| run.size }).to all(be <= budget + 1)
    expect(together.uniq).to contain_exactly(:read, :snooze)
  end

  it "gives each of many fibers whose sockets are ready a turn before one has a second" do
    pairs = Array.new(20) { socketpair.tap { |_, other| as_socket(other).write("x" * 10) } }
    log = []
    bodies = pairs.each_with_index.map do |(fd, _other), number|
      -> { 10.times { machine.recv(fd, +"", 1, 0) && (log << number) } }
    end
    machine.join(bodies)
    expect(log.each_slice(20).map(&:sort)).to eq([(0...20).to_a] * 10)
  end

  it "lets timers fire beside a fiber whose reads never have to wait, under a scheduler" do
    reader, writer = IO.pipe
    writer.write("x" * 60_000)
    read, turns = beside_turns { Array.new(60_000) { reader.readpartial(1) }.size }
    expect([read, turns]).to match([60_000, be_positive])
    [reader, writer].each(&:close)
  end

  it "lets other threads run beside fibers that only snooze" do
    counted = nil
    thread = Thread.new { counted = 3.times { Thread.pass } }
    beside_snoozing(2) { soon { machine.sleep(0.001) until counted } }
    expect([thread.join, counted]).to eq([thread, 3])
  end
end
