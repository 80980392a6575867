# frozen_string_literal: true

require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: many fibers" do
  include SpecSupport::Subprocess

  # Looks at the ring so far, and turns of fibers.
  def counts(machine) = machine.metrics.values_at(:total_waits, :total_switches)

  # How many fibers came to their end of those that wait as the block says until `release` is
  # called; what was counted meanwhile.
  def idle(count, release)
    spent = nil
    signal = Thread::Queue.new
    ended = 0
    scheduler_thread do |scheduler|
      count.times do
        Fiber.schedule do
          yield
          ended += 1
        end
      end
      Fiber.schedule do
        # All of them wait by now; this one gets to its wait as well before it counts.
        before = counts(scheduler.machine)
        signal.pop
        spent = counts(scheduler.machine).zip(before).map { |now, start| now - start }
        release.call
      end
      # A thread without fibers, so that nothing here wakes the scheduler's but this.
      Thread.new { sleep(0.1).then { signal << :go } }
    end.join
    [ended, spent]
  end

  # A look before the wait and one after it, and the turns of those who started it and were woken.
  def be_one_wake_up = match([be <= 4, be <= 4])

  it "are not woken while they wait for queues" do
    queue = Thread::Queue.new
    ended, spent = idle(1000, -> { queue.close }) { queue.pop }
    expect(ended).to eq(1000)
    expect(spent).to be_one_wake_up
  end

  it "are not woken while they sleep" do
    sleeping = []
    release = -> { sleeping.each { |fiber| Fiber.scheduler.unblock(nil, fiber) } }
    ended, spent = idle(1000, release) do
      sleeping << Fiber.current
      sleep(1000)
    end
    expect(ended).to eq(1000)
    expect(spent).to be_one_wake_up
  end

  it "are not woken while they read" do
    reader, writer = IO.pipe
    readers = Array.new(200) { reader.dup }
    reader.close
    waiting = readers.each
    ended, spent = idle(200, -> { writer.close }) { waiting.next.read }
    expect(ended).to eq(200)
    expect(spent).to be_one_wake_up
  ensure
    readers.each(&:close)
  end

  # As beyond `vm.max_map_count`, of which each fiber takes two; here the address space is at its end.
  describe "where there is no stack for another one" do
    let(:head) { <<~'RUBY' }
      require "uringmachine"
      require "uringmachine/fiber_scheduler"
      $stdout.sync = true
      ROOM = 1 << 30

      def with_little_room
        soft, hard = Process.getrlimit(:AS)
        in_use = Integer(File.read("/proc/self/statm")[/\d+/]) * 4096
        Process.setrlimit(:AS, in_use + ROOM, hard)
        yield
      ensure
        Process.setrlimit(:AS, soft, hard)
      end
    RUBY

    # Nothing but a fiber may ask for memory that isn't there: objects and what malloc gives have it
    # from the start.
    let(:environment) do
      slots = (0..4).to_h { |index| ["RUBY_GC_HEAP_#{index}_INIT_SLOTS", "100000"] }
      slots.merge("MALLOC_TOP_PAD_" => (128 << 20).to_s, "MALLOC_ARENA_MAX" => "1",
                  "MALLOC_MMAP_THRESHOLD_" => (64 << 20).to_s, "MALLOC_TRIM_THRESHOLD_" => (1 << 30).to_s)
    end

    def lines_of(source)
      outcome = ruby_program(head + source, environment:)
      expect([outcome.status.exitstatus, outcome.stderr]).to eq([0, ""]), outcome.inspect
      outcome.stdout.lines(chomp: true)
    end

    it "Fiber.schedule raises FiberError, and all others come to their end" do
      lines = lines_of(<<~'RUBY')
        Thread.new do
          Fiber.set_scheduler(UM::FiberScheduler.new)
          queue = Thread::Queue.new
          started = ended = 0
          begin
            with_little_room { 100_000.times { Fiber.schedule { queue.pop; ended += 1 }; started += 1 } }
          rescue FiberError => e
            p e.class, started > 100
          end
          queue.close
          Fiber.schedule { puts "there is room again" }
          Fiber.scheduler.run
          p ended == started
        end.join
      RUBY
      expect(lines).to eq(["FiberError", "true", "there is room again", "true"])
    end

    it "a fiber that was spun ends with the error" do
      lines = lines_of(<<~'RUBY')
        machine = UM.new
        queue = UM::Queue.new
        spun = []
        with_little_room do
          until spun.last&.done?
            spun << machine.spin { machine.shift(queue) }
            machine.snooze
          end
        end
        p spun.last.result.class, machine.join(spun.last).class
        waiting = spun.reject(&:done?)
        waiting.size.times { |number| machine.push(queue, number) }
        p machine.join(*waiting).size == waiting.size, machine.fiber_set.empty?
        p machine.join(machine.spin { :again })
      RUBY
      expect(lines).to eq(["FiberError", "FiberError", "true", "true", ":again"])
    end
  end
end
