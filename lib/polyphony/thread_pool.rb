# frozen_string_literal: true

require "etc"

module Polyphony
  # Threads for what would hold up all fibers: computing, and calls that no scheduler sees.
  class ThreadPool
    # A block to run.
    class Task
      # @param waiter [Event, nil] gets value and error at the end; nil: an error is reported
      def initialize(block, waiter)
        @block = block
        @waiter = waiter
      end

      # Nobody waits for it any more: if it hasn't begun it never will.
      def cancel = @cancelled = true

      # Runs it in this thread.
      def run
        value = @block.call unless @cancelled
        over(value, nil)
      rescue Exception => e # rubocop:disable Lint/RescueException
        over(nil, e)
      ensure
        give_up
      end

      # It won't come to its end.
      def give_up = over(nil, ThreadError.new("the thread has ended"))

      private

      def over(value, error)
        return if @over

        @over = true
        @waiter ? @waiter.signal([value, error]) : report(error)
      end

      def report(error)
        return unless error && Thread.current.report_on_exception

        warn("#{Thread.current.inspect}: #{error.full_message(highlight: false)}")
      end
    end
    private_constant :Task

    @default_lock = Thread::Mutex.new

    class << self
      # Runs a block in a pool that all share.
      # @return [Object] its value
      # @raise what it raises
      def process(&) = default.process(&)

      # Ends that pool; the next {.process} makes another one.
      # @return [void]
      def reset
        pool = @default_lock.synchronize { @default.tap { @default = nil } }
        pool&.stop
      end

      private

      def default = @default_lock.synchronize { @default ||= new }
    end

    # @return [Integer] number of threads
    attr_reader :size

    # @param size [Integer] number of threads
    def initialize(size = Etc.nprocessors)
      raise TypeError, "the number of threads must be an Integer" unless size.is_a?(Integer)
      raise ArgumentError, "a pool needs a thread" unless size.positive?

      @size = size
      @lock = Thread::Mutex.new
      begin_anew
    end

    # Runs a block in one of the threads and waits for it.
    # @return [Object] its value
    # @raise what it raises
    def process(&block)
      ended = Event.new
      task = add(block, ended)
      value, error = ended.await
      raise error if error

      value
    ensure
      task&.cancel
    end

    # Runs a block in one of the threads. An error is only reported.
    # @return [self]
    def cast(&block)
      add(block, nil)
      self
    end

    # @return [Boolean] whether a block runs or waits for a thread
    def busy? = @unfinished.positive?

    # Ends the threads, and what runs in them.
    # @return [void]
    def stop
      @tasks.close
      threads = @lock.synchronize { @threads }
      threads.each(&:kill).each(&:join)
      @tasks.shift_each { |task| finish { task.give_up } }
      nil
    end

    private

    def add(block, ended)
      raise ArgumentError, "no block given" unless block

      task = Task.new(block, ended)
      @lock.synchronize do
        begin_anew unless @pid == Process.pid
        @tasks << task
        @unfinished += 1
        @threads.map! { |thread| thread.alive? ? thread : start_thread }
      end
      task
    end

    # A forked child has no threads, and has no part in its parent's tasks.
    def begin_anew
      @pid = Process.pid
      @tasks = Queue.new
      @unfinished = 0
      @threads = Array.new(@size) { start_thread }
    end

    def start_thread = Thread.new(@tasks) { |tasks| work(tasks) }

    def work(tasks)
      Polyphony.enter_thread
      while (task = tasks.shift)
        finish { task.run }
      end
    rescue ClosedQueueError
      nil # stopped before it came to wait
    end

    def finish
      yield
    ensure
      @lock.synchronize { @unfinished -= 1 }
    end
  end
end
