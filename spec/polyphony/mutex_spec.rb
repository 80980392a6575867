# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe Polyphony::Mutex, :polyphony do
  include SpecSupport::Parked

  let(:mutex) { described_class.new }
  let(:log) { [] }

  # A fiber that has the mutex until it is scheduled.
  def holder
    parked { mutex.synchronize { Polyphony.pause(nil) } }.first
  end

  def release(fiber) = Polyphony.machine.schedule(fiber, nil)

  describe "synchronize" do
    it "lets one fiber in at a time, in order" do
      Fiber.await(Array.new(3) do |number|
        spin do
          mutex.synchronize do
            log << number
            3.times { snooze }
            log << number
          end
        end
      end)
      expect(log).to eq([0, 0, 1, 1, 2, 2])
    end

    it "hands over to those who wait, not to who comes back at once" do
      fibers = [[1, 2, 3], [4, 5, 6]].map do |numbers|
        spin do
          numbers.each { |number| mutex.synchronize { (log << number) && snooze } }
        end
      end
      Fiber.await(fibers)
      expect(log).to eq([1, 4, 2, 5, 3, 6])
    end

    it "gives the value of its block, and may be entered again by the same fiber" do
      expect(mutex.synchronize { mutex.synchronize { [:value, mutex.owned?] } }).to eq([:value, true])
      expect(mutex.locked?).to be_nil
    end

    it "is left by errors, break and throw" do
      expect { mutex.synchronize { raise "failed" } }.to raise_error("failed")
      mutex.synchronize { break }
      catch(:done) { mutex.synchronize { throw :done } }
      expect(mutex.locked?).to be_nil
    end

    it "may be unlocked inside" do
      expect(mutex.synchronize { mutex.unlock && :value }).to eq(:value)
    end
  end

  describe "lock and unlock" do
    it "tell who has it", :gc do
      fiber = holder
      expect([mutex.locked?, mutex.owned?, mutex.try_lock]).to eq([fiber, false, false])
      release(fiber)
      expect([mutex.lock, mutex.locked?, mutex.owned?]).to eq([mutex, Fiber.current, true])
      expect([mutex.unlock, mutex.locked?]).to eq([mutex, nil])
    end

    it "can be tried" do
      expect([mutex.try_lock, mutex.try_lock, mutex.unlock.try_lock]).to eq([true, false, true])
    end

    it "are the holder's own" do
      expect { mutex.unlock }.to raise_error(ThreadError)
      mutex.lock
      expect { mutex.lock }.to raise_error(ThreadError, /deadlock/)
      expect(spin { error_of { mutex.unlock } }.await).to be_a(ThreadError)
    end

    it "wait on when the fiber is scheduled with a value" do
      first = holder
      second = parked { mutex.lock.unlock && :had_it }.first
      Polyphony.machine.schedule(second, :value)
      2.times { snooze }
      expect(second).not_to be_done
      release(first)
      expect(second.await).to eq(:had_it)
    end
  end

  describe "a fiber that is interrupted" do
    it "in line leaves it" do
      first = holder
      second, third = parked(2) { mutex.synchronize { log << :in } }
      interrupt(second)
      release(first)
      Fiber.await(first, second, third)
      expect([log, mutex.locked?]).to eq([[:in], nil])
    end

    it "just as it was handed over to hands it on" do
      first = holder
      second, third = parked(2) { |number| mutex.synchronize { number } }
      interrupt(second)
      mutex_left = spin { soon { third.await } }
      release(first)
      expect([second.await, mutex_left.await]).to match([be_a(StandardError), 1])
    end

    it "inside leaves the mutex" do
      fiber = holder
      terminate(fiber)
      fiber.await
      expect(mutex.locked?).to be_nil
    end
  end

  describe "sleep" do
    it "lets others in meanwhile, and has it afterwards" do
      fiber = parked { mutex.synchronize { [mutex.sleep, mutex.owned?] } }.first
      expect(mutex.synchronize { :in }).to eq(:in)
      release(fiber)
      expect(fiber.await).to eq([0, true])
      expect(mutex.synchronize { mutex.sleep(0.001) }).to eq(0)
    end

    it "has it also where it is interrupted" do
      fiber = parked do
        mutex.synchronize { error_of { mutex.sleep }.class.then { |error| [error, mutex.owned?] } }
      end.first
      mutex.lock
      interrupt(fiber)
      2.times { snooze }
      expect(fiber).not_to be_done
      interrupt(fiber) # once more, while it waits for the mutex
      2.times { snooze }
      mutex.unlock
      expect(fiber.await).to eq([SpecSupport::Parked::Interrupted, true])
    end

    it "needs the mutex" do
      expect { mutex.sleep(0.001) }.to raise_error(ThreadError)
    end
  end

  describe "between threads" do
    it "is waited for in plain threads" do
      mutex.lock
      thread = Thread.new { mutex.synchronize { :in } }
      Thread.pass until thread.stop?
      mutex.unlock
      expect(thread.value).to eq(:in)
    end

    it "is free when the holder's thread has ended" do
      thread_with_fiber { mutex.synchronize { Polyphony.pause(nil) } }.kill.join
      expect(soon { mutex.synchronize { :in } }).to eq(:in)
    end

    it "goes to who waits when the holder's thread ends" do
      thread = thread_with_fiber { mutex.synchronize { Polyphony.pause(nil) } }
      fiber = parked { mutex.synchronize { :in } }.first
      thread.kill.join
      expect(soon { fiber.await }).to eq(:in)
    end
  end

  it "stays with the fiber that forks, and is free of others, in the child" do
    mine = mutex.lock
    expect(in_child { [mine.owned?, mine.unlock.locked?] }).to eq("[true, nil]")
    mutex.unlock
    fiber = holder
    expect(in_child { mutex.try_lock }).to eq("true")
    release(fiber)
    fiber.await
  end

  it "refuses what is not initialized, or no block" do
    expect { described_class.allocate.lock }.to raise_error(UM::Error)
    expect { mutex.synchronize }.to raise_error(LocalJumpError)
  end

  # Fibers of two threads, of which some are interrupted or give up at any time.
  it "has never two inside, and nobody at the end, whatever happens to its users" do
    seed = Random.new_seed % 1_000_000
    inside = Thread::Queue.new
    crowded = Thread::Queue.new
    workers = [1, 2].map { |salt| Thread.new { stress(Random.new(seed + salt), inside, crowded) } }
    workers.each(&:join)
    expect([crowded.size, mutex.locked?]).to eq([0, nil]), "seed #{seed}"
    expect(soon { mutex.synchronize { :in } }).to eq(:in), "seed #{seed}"
  end

  def stress(random, inside, crowded)
    machine = Polyphony.machine
    fibers = Array.new(15) do
      turns = Array.new(20) { random.rand }
      machine.spin { turns.each { |chance| enter(machine, chance, inside, crowded) } }
    end
    disturb(machine, fibers, random)
  end

  def enter(machine, chance, inside, crowded)
    machine.timeout(chance / 1000, SpecSupport::Parked::Interrupted) do
      mutex.synchronize do
        inside << true
        crowded << true if inside.size > 1
        machine.snooze if chance < 0.7
      ensure
        inside.pop
      end
    end
  rescue SpecSupport::Parked::Interrupted
    nil
  end
end
