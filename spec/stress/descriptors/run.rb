# frozen_string_literal: true

module DescriptorStress
  # So many connections, in fibers of the main thread and of another one.
  class Run
    MAIN_FIBERS = 24
    OTHER_FIBERS = 8
    # A connection that takes longer hangs.
    LIMIT = 60

    attr_reader :failures, :tally

    def initialize(planner, connections)
      @planner = planner
      @seed = planner.seed
      @connections = connections
      @lock = Thread::Mutex.new
      @given = 0
      @tally = Hash.new(0)
      @failures = []
      @live = {}
      @main_jobs = Thread::Queue.new
      @thread_jobs = Thread::Queue.new
    end

    # Whether all went well.
    def call
      closer = Thread.new { carry_out(@thread_jobs) }
      other = Thread.new { work_in_thread }
      fibers = Array.new(MAIN_FIBERS) { spin { serve_all } }
      look_after(fibers, other)
      @thread_jobs.close
      [closer, other].each(&:join)
      Wires.close_listener
      check_left("the main thread")
      @failures.empty?
    end

    # The next connection, opened; nil when there were enough, or something went wrong.
    def heir
      id = @lock.synchronize { @given += 1 if @given < @connections && @failures.empty? }
      Connection.new(@planner.plan(id), self).open if id
    end

    # Runs a connection to its end.
    def let_run(connection)
      plan = connection.plan
      @live[plan.id] = [plan, now]
      connection.run
      count(:connections)
      count(plan.trouble)
      count(:failed_transfers) if connection.outcome.is_a?(Exception)
    rescue StandardError => e
      fail_with(plan, e)
    ensure
      @live.delete(plan.id)
    end

    def count(what) = @lock.synchronize { @tally[what] += 1 }

    def in_main_fiber(&) = hand_over(@main_jobs, &)
    def in_thread(&) = hand_over(@thread_jobs, &)

    private

    def serve_all
      while (connection = heir)
        let_run(connection)
      end
    end

    def work_in_thread
      spin { Fiber.await(*Array.new(OTHER_FIBERS) { spin { serve_all } }) }.await
      check_left("the other thread")
    end

    def hand_over(jobs, &job)
      reply = Thread::Queue.new
      jobs << [job, reply]
      error = reply.pop
      raise error if error
    end

    def carry_out(jobs)
      while (job, reply = jobs.pop)
        carry_out_one(job, reply)
      end
    end

    def carry_out_one(job, reply)
      job.call
      reply << nil
    rescue StandardError => e
      reply << e
    end

    # What the main fiber does meanwhile.
    def look_after(fibers, other)
      until fibers.all?(&:dead?) && !other.alive?
        job, reply = @main_jobs.pop(timeout: 0.2)
        carry_out_one(job, reply) if job
        check_for_hangs
      end
    end

    def check_for_hangs
      plan, = @live.values.find { |_, since| now - since > LIMIT }
      return unless plan

      fail_with(plan, Verdict::Fault.new("it hangs:\n  #{Polyphony.machine.pending.join("\n  ")}"))
      exit!(1)
    end

    def fail_with(plan, error)
      @failures << plan
      text = error.is_a?(Verdict::Fault) ? error.message : error.full_message(highlight: false)
      warn "seed #{@seed}: #{plan}\n  #{text}"
    end

    # Nothing of it may be left.
    def check_left(where)
      machine = Polyphony.machine
      100.times { machine.metrics[:ops_pending].zero? ? break : sleep(0.002) }
      left = [machine.metrics[:ops_pending], machine.pending, Fiber.current.children]
      return if left[0].zero? && left.drop(1).all?(&:empty?)

      @failures << where
      warn "seed #{@seed}: #{where} has ops, waits, fibers left: #{left.inspect}"
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
