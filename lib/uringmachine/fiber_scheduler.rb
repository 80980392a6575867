# frozen_string_literal: true

class UringMachine
  # A `Fiber::Scheduler` on a machine: with it, blocking calls of Ruby's core classes made in
  # non-blocking fibers let other fibers run.
  #
  #   Fiber.set_scheduler(UM::FiberScheduler.new)
  #   Fiber.schedule { TCPSocket.new("localhost", 80) }
  #
  # The hooks themselves are native.
  class FiberScheduler
    private_class_method :learn_order

    # Shows an exception that ended a fiber, as Ruby shows one that ends a thread. Silent where
    # `Thread.current.report_on_exception` is false.
    # @param fiber [Fiber] the fiber that has ended
    # @param exception [Exception] what ended it
    # @return [void]
    def report_exception(fiber, exception)
      return unless Thread.current.report_on_exception

      $stderr.write("#{fiber.inspect} terminated with exception (report_on_exception is true):\n",
                    exception.full_message(highlight: false))
    end

    # Runs blocking operations (zlib, large Integers, file calls …) on threads beside the fibers. Ruby
    # calls the hook for it, `blocking_operation_wait`, whenever it is there, so it is there only
    # when asked for.
    #
    # From Ruby 4.0 on the threads do it without the GVL, and a fiber that is interrupted (Timeout,
    # Fiber#raise, the end of its thread) has its operation broken off. It goes on when the thread
    # has let go, at once where the operation can be broken off: what zlib has begun with one piece of
    # data and copies between buffers go on to their end, and so does `IO.copy_stream` from or to a
    # descriptor that blocks (`nonblock = false`).
    #
    # A pool has as many operations at a time as threads: where all of them wait (to open named pipes,
    # say, or for locks), the others wait as well, for each thread that uses the pool.
    # @param pool [BlockingOperationThreadPool] the threads
    # @return [self]
    def enable_blocking_operations(pool = BlockingOperationThreadPool.new)
      define_singleton_method(:blocking_operation_wait) do |operation|
        pool.process(machine, operation)
        true
      end
      self
    end
  end
end
