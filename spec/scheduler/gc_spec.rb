# frozen_string_literal: true

require "socket"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: garbage collection", :gc do
  def collect = GC.start(full_mark: true, immediate_sweep: true)

  # Moves what may be moved, too.
  def collect_all
    collect
    GC.compact if GC.respond_to?(:compact)
  end

  it "keeps the buffer of a read that waits" do
    left, right = UNIXSocket.pair
    text, = in_fibers(
      -> { left.readpartial(100) },
      lambda {
        collect_all
        right.write("still there")
      }
    )
    [left, right].each(&:close)
    expect(text).to eq("still there")
  end

  it "keeps the buffer of a write that waits" do
    left, right = UNIXSocket.pair
    _, text = in_fibers(
      -> { left.write("ab" * 200_000) && left.close },
      lambda {
        sleep(0)
        collect_all
        right.read
      }
    )
    right.close
    expect(text == "ab" * 200_000).to be(true)
  end

  it "keeps fibers, queues and exceptions that only the scheduler knows" do
    results = Thread::Queue.new
    scheduler_thread do |scheduler|
      10.times do |number|
        fiber = Fiber.schedule { results << error_of { sleep }.message }
        scheduler.fiber_interrupt(fiber, RuntimeError.new("number #{number}"))
      end
      collect_all
    end.join
    expect(Array.new(10) { results.pop }).to eq((0...10).map { |number| "number #{number}" })
  end

  it "keeps the memory of a read that was interrupted until the kernel lets go" do
    left, right = UNIXSocket.pair
    texts = in_fiber do
      Array.new(10) do |number|
        fiber = Fiber.schedule { error_of { left.read(1000) } }
        sleep 0
        Fiber.scheduler.fiber_interrupt(fiber, RuntimeError.new("stop"))
        collect if (number % 5).zero?
        right.write("#{number}\n")
        left.gets
      end
    end
    [left, right].each(&:close)
    expect(texts).to eq((0...10).map { |number| "#{number}\n" })
  end

  it "frees the fibers that have ended" do
    count = -> { SpecSupport::LeakCheck.collect_garbage.then { ObjectSpace.each_object(Fiber).count } }
    before = count.call
    in_fibers(Array.new(30) { -> { sleep 0 } })
    expect(count.call - before).to be < 10
  end

  it "survives a collection at every allocation" do
    left, right = UNIXSocket.pair
    text, = in_fibers(
      -> { left.gets },
      lambda {
        GC.stress = true
        sleep(0.001)
        right.puts("under stress")
        GC.stress = false
      }
    )
    [left, right].each(&:close)
    expect(text).to eq("under stress\n")
  ensure
    GC.stress = false
  end

  it "survives collecting schedulers that were never closed or used" do
    30.times { UM::FiberScheduler.new }
    expect { 3.times { collect } }.not_to raise_error
    rings = SpecSupport::DescriptorTable.current.count { |_, target| target == SpecSupport::RingCheck::LINK }
    expect(rings).to be < 10
  end
end
