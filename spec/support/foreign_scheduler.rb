# frozen_string_literal: true

module SpecSupport
  # A scheduler that is none of ours, as small as one can be: `IO.select`, and the hooks without
  # which there is none. It counts what it is asked.
  class ForeignScheduler
    attr_reader :waits

    def initialize
      @readable = {}
      @writable = {}
      @sleepers = {}
      @ready = []
      @blocked = {}
      @lock = Thread::Mutex.new
      @wake_reader, @wake_writer = IO.pipe
      @waits = 0
    end

    # Runs a block in a fiber of a thread that has such a scheduler; its value, once all fibers of
    # the thread have ended.
    def self.run(&block)
      Thread.new do
        Thread.current.report_on_exception = false
        scheduler = new
        Fiber.set_scheduler(scheduler)
        outcome = nil
        Fiber.schedule do
          outcome = [block.call(scheduler), nil]
        rescue Exception => e # rubocop:disable Lint/RescueException
          outcome = [nil, e]
        end
        scheduler.run
        raise outcome.last if outcome.last

        outcome.first
      end.value
    end

    def fiber(&) = Fiber.new(blocking: false, &).tap(&:resume)

    def io_wait(io, events, timeout)
      @waits += 1
      fiber = Fiber.current
      @readable[fiber] = io if events.anybits?(IO::READABLE)
      @writable[fiber] = io if events.anybits?(IO::WRITABLE)
      @sleepers[fiber] = now + timeout if timeout
      Fiber.yield
    ensure
      [@readable, @writable, @sleepers].each { |waiting| waiting.delete(fiber) }
    end

    def kernel_sleep(duration = nil) = block(:sleep, duration)

    def block(_blocker, timeout = nil)
      fiber = Fiber.current
      @blocked[fiber] = true
      @sleepers[fiber] = now + timeout if timeout
      Fiber.yield
    ensure
      @blocked.delete(fiber)
      @sleepers.delete(fiber)
    end

    def unblock(_blocker, fiber)
      @lock.synchronize { @ready << fiber }
      @wake_writer.write_nonblock(".", exception: false)
    end

    # Closing an IO in use is not what it is made for; without the hook, Ruby warns.
    def fiber_interrupt(_fiber, exception) = raise(exception)

    def run
      turn until [@readable, @writable, @sleepers, @blocked, @ready].all?(&:empty?)
    end

    def close
      run
      [@wake_reader, @wake_writer].each { |io| io.close unless io.closed? }
    end

    private

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

    def turn
      readable, writable = IO.select([@wake_reader, *@readable.values], @writable.values, nil, pause)
      @wake_reader.read_nonblock(1000) if readable&.include?(@wake_reader)
      resume_ready(readable || [], writable || [])
      resume_unblocked
      resume_late
    end

    def pause
      return 0 unless @ready.empty?

      nearest = @sleepers.values.min
      [nearest - now, 0].max if nearest
    end

    def resume_ready(readable, writable)
      events = Hash.new(0)
      @readable.each { |fiber, io| events[fiber] |= IO::READABLE if readable.include?(io) }
      @writable.each { |fiber, io| events[fiber] |= IO::WRITABLE if writable.include?(io) }
      events.each { |fiber, which| fiber.resume(which) }
    end

    def resume_unblocked
      ready = @lock.synchronize { @ready.slice!(0..) }
      ready.each { |fiber| fiber.resume(true) if @blocked[fiber] }
    end

    def resume_late
      late = @sleepers.select { |_, deadline| deadline <= now }.keys
      late.each { |fiber| fiber.resume(false) if fiber.alive? }
    end
  end

  # Runs two blocks side by side in a thread of their own: one that waits, and one that it waits
  # for. The value of the first.
  SIDE_BY_SIDE = {
    "under another scheduler" => lambda do |waiting, other|
      ForeignScheduler.run do |scheduler|
        Fiber.schedule { other.call }
        value = waiting.call
        raise "the scheduler was not asked" unless scheduler.waits.positive?

        value
      end
    end,
    "in plain threads" => lambda do |waiting, other|
      threads = [waiting, other].map { |block| Thread.new(&block) }
      threads.each { |thread| thread.report_on_exception = false }
      threads.map(&:value).first
    end
  }.freeze

  module WriteLate
    # Fibers that only wait for each other's data need a moment in which it isn't there.
    def write_late(io, *strings)
      lambda do
        strings.each do |string|
          sleep 0.002
          io.write(string)
        end
        io.close
      end
    end
  end
end
