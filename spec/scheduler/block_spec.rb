# frozen_string_literal: true

require "monitor"
require "tmpdir"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: waiting for fibers and threads" do
  describe "Queue" do
    it "hands values from fiber to fiber" do
      queue = Thread::Queue.new
      received, = in_fibers(
        -> { Array.new(3) { queue.pop } },
        -> { 3.times { |number| sleep(0).then { queue << number } } }
      )
      expect(received).to eq([0, 1, 2])
    end

    it "serves the waiting fibers in order" do
      queue = Thread::Queue.new
      *received, _ = in_fibers(Array.new(5) { -> { queue.pop } }, -> { 5.times { |number| queue << number } })
      expect(received).to eq([0, 1, 2, 3, 4])
    end

    it "hands values from a thread without a scheduler, and back" do
      there = Thread::Queue.new
      back = Thread::Queue.new
      echo = Thread.new { 100.times { back << (there.pop * 2) } }
      received = in_fiber { Array.new(100) { |number| there.push(number).then { back.pop } } }
      echo.join
      expect(received).to eq((0...100).map { |number| number * 2 })
    end

    it "wakes a scheduler that waits for nothing else" do
      queue = Thread::Queue.new
      waiting = nil
      scheduler = scheduler_thread { Fiber.schedule { waiting = queue.pop } }
      wait_until { queue.num_waiting == 1 && scheduler.status == "sleep" }
      queue << :value
      scheduler.join
      expect(waiting).to eq(:value)
    end

    it "gives nil past its time limit, and then works again" do
      queue = Thread::Queue.new
      values = in_fibers(
        -> { [queue.pop(timeout: 0.001), queue.pop(timeout: 10)] },
        -> { sleep(0.02).then { queue << :late } && nil }
      )
      expect(values.first).to eq([nil, :late])
    end

    it "gives what is there without waiting" do
      queue = Thread::Queue.new([1])
      expect(in_fiber { [queue.pop(timeout: 0), queue.pop(timeout: 0), error_of { queue.pop(true) }.class] })
        .to eq([1, nil, ThreadError])
    end

    it "wakes waiters when it closes" do
      queue = Thread::Queue.new
      *values, _ = in_fibers(Array.new(3) { -> { [queue.pop] } }, -> { queue.close })
      expect(values).to eq([[nil]] * 3)
    end

    it "moves many values between many fibers of several threads, each once" do
      queue = Thread::Queue.new
      received = Thread::Queue.new
      consumers = Array.new(2) do
        scheduler_thread do
          10.times do
            Fiber.schedule do
              while (value = queue.pop)
                received << value
              end
            end
          end
        end
      end
      producers = Array.new(2) do |producer|
        scheduler_thread do
          10.times do |fiber|
            Fiber.schedule do
              100.times { |number| (queue << [producer, fiber, number]) && (sleep(0) if (number % 10).zero?) }
            end
          end
        end
      end
      producers.each(&:join)
      queue.close
      consumers.each(&:join)
      values = Array.new(received.size) { received.pop }
      expect(values.size).to eq(2000)
      expect(values.uniq.size).to eq(2000)
    end
  end

  describe "SizedQueue" do
    it "holds back the pushing fiber" do
      queue = Thread::SizedQueue.new(2)
      sizes = []
      _, received = in_fibers(
        -> { 10.times { |number| (queue << number) && (sizes << queue.size) } },
        -> { Array.new(10) { sleep(0) && queue.pop } }
      )
      expect(received).to eq([*0..9])
      expect(sizes.max).to eq(2)
    end

    it "gives up pushing past its time limit" do
      queue = Thread::SizedQueue.new(1)
      expect(in_fiber { [queue.push(1, timeout: 1).class, queue.push(2, timeout: 0.001)] })
        .to eq([Thread::SizedQueue, nil])
    end
  end

  describe "Mutex" do
    it "excludes fibers from one another, in order" do
      mutex = Thread::Mutex.new
      inside = 0
      order = []
      bodies = Array.new(5) do |number|
        lambda do
          mutex.synchronize do
            inside += 1
            order << [number, inside]
            sleep 0.001
            inside -= 1
          end
        end
      end
      in_fibers(*bodies)
      expect(order).to eq((0...5).map { |number| [number, 1] })
    end

    it "excludes fibers of one thread from another thread" do
      mutex = Thread::Mutex.new
      counter = 0
      add = lambda do
        50.times do
          mutex.synchronize do
            value = counter
            sleep 0
            counter = value + 1
          end
        end
      end
      threads = [scheduler_thread { 3.times { Fiber.schedule(&add) } }, Thread.new(&add), Thread.new(&add)]
      threads.each(&:join)
      expect(counter).to eq(250)
    end

    it "lets a fiber wait for a mutex that a thread holds" do
      mutex = Thread::Mutex.new
      mutex.lock
      locked = false
      scheduler = scheduler_thread { Fiber.schedule { mutex.synchronize { locked = true } } }
      wait_until { scheduler.status == "sleep" }
      before = locked
      mutex.unlock
      scheduler.join
      expect([before, locked]).to eq([false, true])
    end

    it "is released by an exception" do
      mutex = Thread::Mutex.new
      errors = in_fibers(
        -> { error_of { mutex.synchronize { sleep(0) && raise("inside") } }.message },
        -> { mutex.synchronize { :entered } }
      )
      expect(errors).to eq(["inside", :entered])
      expect(mutex).not_to be_locked
    end

    it "sleeps for a time and locks again" do
      mutex = Thread::Mutex.new
      values = in_fibers(
        -> { mutex.synchronize { mutex.sleep(0.02).then { mutex.owned? } } },
        -> { mutex.synchronize { :meanwhile } }
      )
      expect(values).to eq([true, :meanwhile])
    end

    it "lets a fiber be raised in that waits for it" do
      mutex = Thread::Mutex.new
      mutex.lock
      message = nil
      scheduler_thread do
        fiber = Fiber.schedule { message = error_of { mutex.lock }.message }
        Fiber.schedule { fiber.raise("bye") }
      end.join
      mutex.unlock
      expect(message).to eq("bye")
    end
  end

  describe "ConditionVariable" do
    let(:mutex) { Thread::Mutex.new }
    let(:condition) { Thread::ConditionVariable.new }

    it "wakes one fiber by signal, all by broadcast" do
      woken = 0
      counts = []
      waiting = Array.new(4) { -> { mutex.synchronize { condition.wait(mutex) }.then { woken += 1 } } }
      wake = lambda do
        mutex.synchronize { condition.signal }
        wait_until { woken == 1 }
        counts << woken
        mutex.synchronize { condition.broadcast }
        wait_until { woken == 4 }
        counts << woken
      end
      in_fibers(*waiting, wake)
      expect(counts).to eq([1, 4])
    end

    it "is signalled by a thread" do
      ready = false
      value = nil
      scheduler = scheduler_thread do
        Fiber.schedule do
          mutex.synchronize do
            condition.wait(mutex) until ready
            value = :woken
          end
        end
      end
      wait_until { scheduler.status == "sleep" }
      mutex.synchronize do
        ready = true
        condition.signal
      end
      scheduler.join
      expect(value).to eq(:woken)
    end

    it "comes back past its time limit, holding the mutex" do
      owned = in_fiber { mutex.synchronize { condition.wait(mutex, 0.001).then { mutex.owned? } } }
      expect(owned).to be(true)
    end

    it "takes part in a game of ping-pong between a fiber and a thread" do
      turn = :fiber
      rounds = 0
      play = lambda do |me, other|
        20.times do
          mutex.synchronize do
            condition.wait(mutex) until turn == me
            rounds += 1
            turn = other
            condition.broadcast
          end
        end
      end
      [scheduler_thread { Fiber.schedule { play.call(:fiber, :thread) } },
       Thread.new { play.call(:thread, :fiber) }].each(&:join)
      expect(rounds).to eq(40)
    end
  end

  describe "Monitor" do
    it "is entered twice by one fiber, and by one fiber at a time" do
      monitor = Monitor.new
      order = []
      bodies = %i[a b].map do |name|
        lambda do
          monitor.synchronize do
            monitor.synchronize { order << name }
            sleep 0
            order << name
          end
        end
      end
      in_fibers(*bodies)
      expect(order).to eq(%i[a a b b])
    end

    it "has conditions" do
      monitor = Monitor.new
      condition = monitor.new_cond
      full = false
      values = in_fibers(
        -> { monitor.synchronize { condition.wait_until { full }.then { full } } },
        lambda {
          monitor.synchronize do
            full = true
            condition.signal
          end
        }
      )
      expect(values.first).to be(true)
    end
  end

  describe "threads" do
    it "are joined and their values had" do
      value, turns = beside_turns do
        thread = Thread.new { sleep(0.05) && :value }
        [thread.join.equal?(thread), thread.value]
      end
      expect(value).to eq([true, :value])
      expect(turns).to be > 1
    end

    it "are joined for a time" do
      sleeper = Thread.new { sleep }
      expect(in_fiber { sleeper.join(0.001) }).to be_nil
      sleeper.kill.join
    end

    it "raise their exception in the joining fiber" do
      error = in_fiber do
        thread = Thread.new do
          Thread.current.report_on_exception = false
          raise "from the thread"
        end
        error_of { thread.join }
      end
      expect(error.message).to eq("from the thread")
    end

    it "are joined by several fibers" do
      gate = Thread::Queue.new
      thread = Thread.new { gate.pop }
      *values, _ = in_fibers(Array.new(5) { -> { thread.value } }, -> { gate << :open })
      expect(values).to eq([:open] * 5)
    end

    it "are joined by a blocking fiber inside of a scheduled one" do
      value = in_fiber do
        Fiber.new(blocking: true) { Thread.new { sleep(0) && :done }.value }.resume
      end
      expect(value).to eq(:done)
    end

    it "have schedulers of their own, joined by a fiber" do
      value = in_fiber do
        inner = nil
        scheduler_thread { Fiber.schedule { sleep(0.001).then { inner = :inner } } }.join
        inner
      end
      expect(value).to eq(:inner)
    end
  end

  describe "block and unblock called directly" do
    it "gives true when unblocked, false past the timeout" do
      blocked = nil
      values = in_fibers(
        lambda {
          blocked = Fiber.current
          [Fiber.scheduler.block(:me, 10), Fiber.scheduler.block(:me, 0.001)]
        },
        -> { Fiber.scheduler.unblock(:me, blocked) }
      )
      expect(values).to eq([[true, false], true])
    end

    it "is unblocked from a thread" do
      blocked = nil
      scheduler = nil
      value = nil
      thread = scheduler_thread do |own|
        scheduler = own
        Fiber.schedule do
          blocked = Fiber.current
          value = own.block(:me)
        end
      end
      wait_until { blocked && thread.status == "sleep" }
      Thread.new { scheduler.unblock(:me, blocked) }.join
      thread.join
      expect(value).to be(true)
    end

    it "does not mind unblocking what is not blocked, or has ended" do
      values = in_fiber do
        ended = Fiber.schedule { nil }
        scheduler = Fiber.scheduler
        [scheduler.unblock(:x, ended), scheduler.unblock(:x, Fiber.current), error_of { sleep(0) }]
      end
      expect(values).to eq([true, true, nil])
    end

    it "does not end a read" do
      reader, writer = IO.pipe
      fiber = nil
      text, = in_fibers(
        lambda {
          fiber = Fiber.current
          reader.readpartial(10)
        },
        lambda {
          3.times { Fiber.scheduler.unblock(:x, fiber) && sleep(0) }
          writer.write("data")
        }
      )
      [reader, writer].each(&:close)
      expect(text).to eq("data")
    end
  end

  describe "require and autoload" do
    it "waits for the fiber that loads the same file" do
      Dir.mktmpdir do |folder|
        File.write("#{folder}/slow_feature.rb", "sleep 0.01\nmodule SlowFeature; LOADED = true; end\n")
        Object.autoload(:SlowFeature, "#{folder}/slow_feature.rb")
        values = in_fibers(Array.new(5) { -> { SlowFeature::LOADED } })
        $LOADED_FEATURES.delete("#{folder}/slow_feature.rb")
        Object.send(:remove_const, :SlowFeature)
        expect(values).to eq([true] * 5)
      end
    end
  end
end
