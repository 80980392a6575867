# frozen_string_literal: true

require "English"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: sleep and Fiber.schedule" do
  # Sleeps of so many milliseconds, in this order; the order in which they end.
  def order_of_waking(*milliseconds)
    order = []
    in_fibers(*milliseconds.map { |duration| -> { sleep(duration / 1000.0).then { order << duration } } })
    order
  end

  it "wakes in the order of time" do
    expect(order_of_waking(80, 0, 40, 120, 1)).to eq([0, 1, 40, 80, 120])
  end

  it "wakes a thousand sleepers, each once" do
    expect(order_of_waking(*(1..1000).map { |number| number % 7 }).tally.values.sum).to eq(1000)
  end

  it "returns the seconds slept, rounded" do
    expect(in_fiber { [sleep(0), sleep(0.01), sleep(1)] }).to match([0..1, 0..1, 1..3])
  end

  it "does not wake early" do
    slept = in_fiber do
      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      sleep(0.02)
      Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
    end
    expect(slept).to be >= 0.02
  end

  it "takes any number" do
    expect(in_fiber { [sleep(Rational(1, 1000)), sleep(0.001), sleep(0)] }).to all(be_between(0, 1))
  end

  it "takes turns with sleep(0)" do
    order = []
    in_fibers(*%i[a b].map { |name| -> { 3.times { sleep(0).then { order << name } } } })
    expect(order).to eq(%i[a b a b a b])
  end

  it "refuses what is no duration" do
    errors = in_fiber { [-1, -0.1, "1", Object.new].map { |value| error_of { sleep(value) }.class } }
    expect(errors).to eq([ArgumentError, ArgumentError, TypeError, TypeError])
  end

  it "sleeps for ever without a duration, until it is woken" do
    sleeper = nil
    values = in_fibers(
      lambda {
        sleeper = Fiber.current
        sleep
        :woken
      },
      -> { sleep(0.01) && sleeper.alive? && Fiber.scheduler.unblock(:nothing, sleeper) }
    )
    expect(values).to eq([:woken, true])
  end

  it "goes on after an exception" do
    sleeper = nil
    values = in_fibers(
      lambda {
        sleeper = Fiber.current
        [error_of { sleep(60) }.message, error_of { sleep(0) }]
      },
      -> { Fiber.scheduler.fiber_interrupt(sleeper, RuntimeError.new("up")) && :sent }
    )
    expect(values).to eq([["up", nil], :sent])
  end

  describe "Fiber.schedule" do
    it "runs the new fiber up to its first wait, and nothing else" do
      order = []
      in_fiber do
        Fiber.schedule do
          order << :one
          sleep 0
          order << :one_again
        end
        Fiber.schedule do
          order << :two
          sleep 0
          order << :two_again
        end
        order << :back
      end
      expect(order).to eq(%i[one two back one_again two_again])
    end

    it "returns the fiber, ended if it never had to wait" do
      fibers = in_fiber do
        [Fiber.schedule { :done }, Fiber.schedule { sleep 0 }].map { |fiber| [fiber.class, fiber.alive?] }
      end
      expect(fibers).to eq([[Fiber, false], [Fiber, true]])
    end

    it "makes non-blocking fibers, from the root fiber as well" do
      blocking = []
      scheduler_thread do
        blocking << Fiber.current.blocking?
        Fiber.schedule { blocking << Fiber.current.blocking? }
      end.join
      expect(blocking).to eq([true, false])
    end

    it "nests" do
      order = []
      in_fiber do
        Fiber.schedule do
          Fiber.schedule { order << :inner }
          order << :middle
        end
        order << :outer
      end
      expect(order).to eq(%i[inner middle outer])
    end

    it "does not wait when the root fiber calls it in a loop" do
      waiting = nil
      scheduler_thread do
        fibers = Array.new(5) { |number| Fiber.schedule { sleep(number / 100.0) } }
        waiting = fibers.count(&:alive?)
      end.join
      expect(waiting).to eq(5)
    end

    it "inherits fiber storage" do
      seen = in_fiber do
        Fiber[:name] = :outer
        inner = []
        Fiber.schedule do
          inner << Fiber[:name]
          Fiber[:name] = :inner
          sleep 0
          inner << Fiber[:name]
        end
        sleep 0.001
        inner << Fiber[:name]
      end
      expect(seen).to eq(%i[outer inner outer])
    end

    it "keeps fiber-local variables apart" do
      bodies = (1..3).map do |number|
        lambda do
          Thread.current[:number] = number
          sleep 0
          Thread.current[:number]
        end
      end
      values = in_fibers(bodies)
      expect(values).to eq([1, 2, 3])
    end

    # Methods, as blocks share these variables with the method around them.
    def match_around_wait(text)
      text =~ /./
      sleep 0
      Regexp.last_match(0)
    end

    def line_around_wait(reader)
      reader.gets
      sleep 0
      $LAST_READ_LINE
    end

    it "keeps $~ and $_ apart" do
      readers = %w[a b].map do |line|
        reader, writer = IO.pipe
        writer.puts(line)
        writer.close
        reader
      end
      matches = in_fibers(-> { match_around_wait("x") }, -> { match_around_wait("y") })
      lines = in_fibers(*readers.map { |reader| -> { line_around_wait(reader) } })
      readers.each(&:close)
      expect([matches, lines]).to eq([%w[x y], %W[a\n b\n]])
    end

    it "needs a block" do
      expect(in_fiber { error_of { Fiber.schedule } }).to be_a(LocalJumpError)
    end

    it "runs thousands of fibers" do
      count = 0
      scheduler_thread { 5000.times { Fiber.schedule { sleep(0).then { count += 1 } } } }.join
      expect(count).to eq(5000)
    end
  end

  describe "Enumerator#next" do
    it "does I/O inside of the enumerator" do
      reader, writer = IO.pipe
      text, = in_fibers(
        lambda {
          chars = reader.each_char
          4.times.map { chars.next }.join
        },
        -> { %w[ab cd].each { |part| sleep(0).then { writer.write(part) } } && writer.close }
      )
      reader.close
      expect(text).to eq("abcd")
    end

    it "sleeps inside of the enumerator" do
      bodies = [1, 2].map do |start|
        numbers = Enumerator.new do |yielder|
          start.step(by: 2) { |number| sleep(0.001).then { yielder << number } }
        end
        -> { Array.new(3) { numbers.next } }
      end
      values = in_fibers(bodies)
      expect(values).to eq([[1, 3, 5], [2, 4, 6]])
    end

    it "does I/O in a Fiber that the program resumes itself" do
      reader, writer = IO.pipe
      texts, = in_fibers(
        -> { Fiber.new { reader.gets + Fiber.yield }.then { |fiber| [fiber.resume, fiber.resume("!")] } },
        -> { sleep(0).then { writer.puts("x") } }
      )
      [reader, writer].each(&:close)
      expect(texts).to eq([nil, "x\n!"])
    end
  end
end
