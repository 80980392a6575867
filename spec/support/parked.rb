# frozen_string_literal: true

require_relative "polyphony"

module SpecSupport
  # Fibers that wait, and how they are kept from it.
  module Parked
    Interrupted = InPolyphony::Interrupted

    # Fibers that have come to where they wait; they end with what interrupts them.
    def parked(count = 1)
      fibers = Array.new(count) do |number|
        spin do
          yield number
        rescue Interrupted => e
          e
        end
      end
      snooze
      fibers
    end

    # Has it raised in the fiber.
    def interrupt(fiber) = Polyphony.machine.schedule(fiber, Interrupted.new)

    def terminate(fiber) = Polyphony.machine.schedule(fiber, Polyphony::Terminate.new)

    # Interrupts one fiber after the other, and waits until all have ended.
    def disturb(machine, fibers, random)
      200.times do
        fiber = fibers.sample(random:)
        machine.schedule(fiber, Interrupted.new) unless fiber.done?
        random.rand < 0.5 ? machine.snooze : Polyphony.pause(0.0001)
      end
      machine.await(fibers)
    end

    # A thread that has a fiber waiting in the block, and lives until it is killed.
    def thread_with_fiber(&block) # rubocop:disable Naming/BlockForwarding -- not in a block, on 3.3.0
      ready = Thread::Queue.new
      thread = Thread.new do
        Polyphony.machine.spin(&block) # rubocop:disable Naming/BlockForwarding
        Polyphony.machine.snooze
        ready << true
        Thread.stop
      end
      ready.pop
      thread
    end

    # Fails instead of waiting for ever.
    def soon(&) = Polyphony.machine.timeout(10, RuntimeError.new("it never came"), &)

    def error_of
      yield
      nil
    rescue Exception => e # rubocop:disable Lint/RescueException
      e
    end

    # What the block gives in a forked child.
    def in_child
      reader, writer = IO.pipe
      pid = fork do
        writer.syswrite(yield.inspect)
      rescue Exception => e # rubocop:disable Lint/RescueException
        writer.syswrite(e.full_message)
      ensure
        exit!(0)
      end
      writer.close
      reader.read.tap { Process.wait(pid) }
    ensure
      reader.close
    end
  end
end
