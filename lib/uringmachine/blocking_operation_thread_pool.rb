# frozen_string_literal: true

require "etc"

class UringMachine
  # Threads for the operations of Ruby 4.0 and later: those keep no GVL, and can be broken off.
  #
  # @!method carry_out(machine, operation)
  #   Has a thread carry the operation out while the calling fiber waits. Interrupted, the operation
  #   is broken off, and its end awaited all the same.
  #   @return [true, false, nil] false where no thread can be had, nil for what is no such operation
  # @!method serve
  #   Carries operations out until for some time there are none.
  #   @return [nil]
  # @api private
  class OperationWorkers
    private

    # A thread that serves. It can be interrupted, whatever the fiber that has it started defers.
    def hire = Thread.new { Thread.handle_interrupt(Object => :immediate) { serve } }
  end
  private_constant :OperationWorkers

  # Threads that carry out blocking operations (zlib, big numbers, file calls) beside the fibers.
  # They are started as they are needed, and end with the pool.
  class BlockingOperationThreadPool
    # @param size [Integer] most threads; by default as many as there are processors
    def initialize(size = Etc.nprocessors)
      raise TypeError, "size must be an Integer: #{size.inspect}" unless size.is_a?(Integer)
      raise ArgumentError, "size must be positive: #{size}" unless size.positive?

      @size = size
      start_anew
    end

    # Runs a job on one of the threads while the calling fiber waits. It comes back when the job is
    # done, also when the fiber is interrupted meanwhile: the job may work on its caller's memory. An
    # operation of Ruby 4.0 and later is asked to end early then.
    # @param machine [UringMachine] the caller's
    # @param job [#call] also what Ruby passes to the hook `blocking_operation_wait`
    # @return [Object] what the job returns; for such an operation, whether it was carried out
    # @raise what the job raises, or what the fiber was interrupted with
    def process(machine, job)
      start_anew if @process != Process.pid
      carried_out = @workers.carry_out(machine, job)
      carried_out.nil? ? call(machine, job) : carried_out
    end

    # Ends the threads.
    Closing = Data.define(:jobs) do
      def call(_id) = jobs.close
    end
    private_constant :Closing

    # How a job has ended.
    Answer = Data.define(:value, :error)
    # What a thread does; it knows nothing of the pool, so that that can be collected.
    Job = Data.define(:machine, :answers, :work, :threads) do
      def call
        answer = Answer.new(work.call, nil)
      rescue Exception => e # rubocop:disable Lint/RescueException
        answer = Answer.new(nil, e)
      ensure
        machine.push(answers, answer || killed)
      end

      def killed
        threads.delete(Thread.current)
        Answer.new(nil, ThreadError.new("the thread that did it was killed"))
      end
    end
    private_constant :Answer, :Job

    private

    # What only a thread that has the GVL can call.
    def call(machine, job)
      hire if @jobs.size >= @jobs.num_waiting
      answers = Queue.new
      @jobs << Job.new(machine, answers, job, @threads)
      answer, interruption = wait_for(machine, answers)
      hire unless @jobs.empty?
      raise interruption if interruption
      raise answer.error if answer.error

      answer.value
    end

    # No thread of the parent's lives in a forked child.
    def start_anew
      @process = Process.pid
      @jobs = Thread::Queue.new
      @threads = []
      @workers = OperationWorkers.new(@size)
      ObjectSpace.define_finalizer(self, Closing.new(@jobs))
    end

    # Starts a thread, if there may be more. One that was woken for a job counts as waiting, and the
    # job as queued, until the thread has its turn.
    def hire
      @threads.select!(&:alive?)
      @threads << self.class.__send__(:work_on, @jobs) if @threads.size < @size
    end

    # The answer, and the (last) exception that came before it.
    def wait_for(machine, answers)
      interruption = nil
      loop do
        answer = machine.shift(answers)
        return [answer, interruption] if answer.is_a?(Answer)
      rescue Exception => e # rubocop:disable Lint/RescueException
        interruption = e
      end
    end

    class << self
      private

      def work_on(jobs)
        Thread.new do
          Thread.handle_interrupt(Object => :immediate) { jobs.pop&.call until jobs.closed? }
        end
      end
    end
  end
end
