# frozen_string_literal: true

require "resolv"
require_relative "../uringmachine"

class UringMachine
  # For the development of schedulers and of what calls them: wraps any `Fiber::Scheduler`, ours or
  # another, and raises where a hook is called, or answers, as it must not.
  #
  #   require "uringmachine/scheduler_contract"
  #   Fiber.set_scheduler(UM::SchedulerContract.new(MyScheduler.new))
  #
  # A violation is raised in the caller of the hook, and kept in {#violations}, as the caller may be
  # somebody who rescues everything. What is no hook is passed on to the scheduler.
  class SchedulerContract
    # A hook was called or has answered as it must not.
    class Violation < Error; end

    # Hooks without which there is no scheduler.
    REQUIRED = %i[block unblock kernel_sleep io_wait fiber].freeze
    # Hooks that Ruby does without.
    OPTIONAL = %i[
      io_read io_write io_pread io_pwrite io_select io_close process_wait timeout_after address_resolve
      blocking_operation_wait fiber_interrupt yield
    ].freeze
    # The largest errno of Linux.
    MAX_ERRNO = 4095
    # How much too early a sleep may end, in seconds: clocks differ by their resolution.
    EARLY = 0.002

    # A fiber inside of a hook that may wait.
    Wait = Struct.new(:hook, :unblocked)
    private_constant :Wait

    # @return [Array<Violation>] all so far
    attr_reader :violations

    # @param scheduler [Object] the one to be checked
    # @raise [Violation] where it lacks a hook that Ruby needs
    def initialize(scheduler)
      @scheduler = scheduler
      @violations = []
      @waits = {}.compare_by_identity
      @process = Process.pid
      missing = REQUIRED.reject { |hook| scheduler.respond_to?(hook) }
      missing << :close unless scheduler.respond_to?(:scheduler_close) || scheduler.respond_to?(:close)
      violate("lacks #{missing.join(", ")}") if missing.any?
      absent = OPTIONAL.reject { |hook| scheduler.respond_to?(hook) }
      # Ruby 3 calls this one without the VM lock (see scheduler.md), where no Ruby code may run.
      absent |= [:io_pwrite] if RUBY_VERSION < "4.0"
      absent.each { |hook| singleton_class.undef_method(hook) }
    end

    # Hook of Mutex, Queue, Thread#join and their like.
    def block(blocker, timeout = nil)
      seconds!(:block, timeout)
      waiting(:block) { @scheduler.block(blocker, timeout) }
    end

    # Hook of their other side, called by any thread. The blocker may be another one: for Thread#join,
    # Ruby names the joined thread in one place and the joining one in the other.
    def unblock(blocker, fiber)
      type!(:unblock, "fiber", fiber, Fiber)
      @waits[fiber]&.unblocked = true
      @scheduler.unblock(blocker, fiber)
    end

    # Hook of `sleep`. Ruby passes on whatever it was given: to refuse it is the scheduler's part.
    def kernel_sleep(*arguments)
      duration = arguments.first
      started = now
      waiting(:kernel_sleep) do |wait|
        result = @scheduler.kernel_sleep(*arguments)
        unless duration.nil? || (duration.is_a?(Numeric) && !duration.negative?)
          violate("kernel_sleep: took #{duration.inspect} for a duration")
        end
        early = duration && !wait.unblocked && now - started < duration - EARLY
        violate("kernel_sleep: came back early, and nobody had called unblock") if early
        result
      end
    end

    # Hook of IO#wait and all that waits for readiness.
    def io_wait(io, events, timeout = nil)
      type!(:io_wait, "io", io, ::IO)
      type!(:io_wait, "events", events, Integer)
      all = ::IO::READABLE | ::IO::PRIORITY | ::IO::WRITABLE
      violate("io_wait: events are #{events}") if events.zero? || events.anybits?(~all)
      seconds!(:io_wait, timeout)
      waiting(:io_wait) { ready!(@scheduler.io_wait(io, events, timeout), events) }
    end

    # @!method io_read(io, buffer, length, offset)
    #   Hook of IO#read and its like.
    # @!method io_write(io, buffer, length, offset)
    #   Hook of IO#write and its like.
    # @!method io_pread(io, buffer, from, length, offset)
    #   Hook of IO#pread.
    # @!method io_pwrite(io, buffer, from, length, offset)
    #   Hook of IO#pwrite.
    %i[io_read io_write io_pread io_pwrite].each do |hook|
      define_method(hook) do |io, buffer, *numbers|
        room = room!(hook, io, buffer, numbers)
        waiting(hook) { moved!(hook, @scheduler.public_send(hook, io, buffer, *numbers), room) }
      end
    end

    # Hook of IO.select.
    def io_select(*arguments)
      violate("io_select: #{arguments.size} arguments") unless arguments.size.between?(1, 4)
      lists = arguments.first(3)
      lists.each { |list| type!(:io_select, "list", list, Array, NilClass) }
      seconds!(:io_select, arguments[3])
      waiting(:io_select) { selected!(@scheduler.io_select(*arguments), lists) }
    end

    # Hook of IO#close: the number of a descriptor.
    def io_close(descriptor)
      type!(:io_close, "descriptor", descriptor, Integer)
      waiting(:io_close) { @scheduler.io_close(descriptor) }
    end

    # Hook of Process.wait, `system` and their like.
    def process_wait(pid, flags)
      type!(:process_wait, "pid", pid, Integer)
      type!(:process_wait, "flags", flags, Integer)
      violate("process_wait: it does not wait with WNOHANG") if flags.anybits?(Process::WNOHANG)
      waiting(:process_wait) do
        @scheduler.process_wait(pid, flags).tap { |status| result!(:process_wait, status, Process::Status) }
      end
    end

    # Hook of Timeout.timeout.
    def timeout_after(duration, exception, *message)
      type!(:timeout_after, "duration", duration, Numeric)
      violate("timeout_after: #{exception.inspect} can't be raised") unless exception.respond_to?(:exception)
      violate("timeout_after: no block") unless block_given?
      called!(:timeout_after)
      value = ended = nil
      result = @scheduler.timeout_after(duration, exception, *message) do |*arguments|
        value = yield(*arguments)
        ended = true
        value
      end
      violate("timeout_after: did not give the block's value") if ended && !result.equal?(value)
      result
    end

    # Hook of name lookups.
    def address_resolve(host)
      type!(:address_resolve, "host", host, String)
      waiting(:address_resolve) { addresses!(@scheduler.address_resolve(host)) }
    end

    # Hook of what computes long or waits for the disk.
    def blocking_operation_wait(operation)
      unless operation.respond_to?(:call)
        violate("blocking_operation_wait: can't be called: #{operation.inspect}")
      end
      waiting(:blocking_operation_wait) { @scheduler.blocking_operation_wait(operation) }
    end

    # Hook of IO#close while another fiber uses the IO, called by any thread.
    def fiber_interrupt(fiber, exception)
      type!(:fiber_interrupt, "fiber", fiber, Fiber)
      type!(:fiber_interrupt, "exception", exception, Exception)
      @waits[fiber]&.unblocked = true
      @scheduler.fiber_interrupt(fiber, exception)
    end

    # Hook of interrupts that were handled: the others may run.
    def yield
      waiting(:yield) { @scheduler.yield }
    end

    # Hook of Fiber.schedule.
    def fiber(*arguments, &body)
      on_own_thread!(:fiber)
      return @scheduler.fiber(*arguments) unless body # it refuses that

      started = false
      fiber = @scheduler.fiber(*arguments) do |*values|
        started = true
        body.arity.zero? ? body.call : body.call(*values)
      end
      result!(:fiber, fiber, Fiber)
      violate("fiber: did not start it") unless started
      violate("fiber: it is blocking") if fiber.alive? && fiber.blocking?
      fiber
    end

    # Hook of Fiber.set_scheduler and of the thread's end: runs all work to its end.
    def scheduler_close
      violate("closed twice") if @closed
      on_own_thread!(:scheduler_close)
      begin
        @scheduler.respond_to?(:scheduler_close) ? @scheduler.scheduler_close : @scheduler.close
      ensure
        @closed = true
      end
      complete!
    end

    # Closes the scheduler; where it is the thread's, the thread has none afterwards.
    def close
      Fiber.scheduler.equal?(self) ? Fiber.set_scheduler(nil) : scheduler_close
    end

    # The scheduler's own methods.
    def method_missing(name, ...)
      hook?(name) ? super : @scheduler.public_send(name, ...)
    end

    # @return [Boolean]
    def respond_to_missing?(name, include_all = false)
      hook?(name) ? super : @scheduler.respond_to?(name, include_all)
    end

    private

    def hook?(name)
      REQUIRED.include?(name) || OPTIONAL.include?(name)
    end

    def violate(message)
      violation = Violation.new("#{@scheduler.class}: #{message}")
      @violations << violation
      raise violation
    end

    # Runs a hook that may wait.
    def waiting(hook)
      called!(hook)
      fiber = Fiber.current
      # One hook may come to wait by another.
      outer = @waits[fiber]
      wait = @waits[fiber] = Wait.new(hook, false)
      yield wait
    ensure
      # Not touched where the call itself was refused.
      if wait
        outer ? @waits[fiber] = outer : @waits.delete(fiber)
      end
    end

    # Ruby calls it in a non-blocking fiber of the scheduler's thread, as long as it isn't closed.
    def called!(hook)
      violate("#{hook}: called after the scheduler was closed") if @closed
      on_own_thread!(hook)
      violate("#{hook}: called by a blocking fiber") if Fiber.current.blocking?
    end

    def on_own_thread!(hook)
      return if Fiber.scheduler.equal?(self)

      violate("#{hook}: called by a thread that has another scheduler, or none")
    end

    def type!(hook, name, value, *types)
      return if types.any? { |type| type === value } # rubocop:disable Style/CaseEquality -- of the classes

      violate("#{hook}: #{name} is #{value.inspect}")
    end

    def result!(hook, value, type)
      violate("#{hook}: gave #{value.inspect}, not a #{type}") unless value.is_a?(type)
    end

    def seconds!(hook, value)
      return if value.nil? || (value.is_a?(Numeric) && !value.negative?)

      violate("#{hook}: timeout is #{value.inspect}")
    end

    # How many bytes a read or a write may move.
    def room!(hook, io, buffer, numbers)
      # Not only IOs: IO::Buffer passes on whatever it was given.
      violate("#{hook}: io is #{io.inspect}") unless io.respond_to?(:to_io)
      type!(hook, "buffer", buffer, ::IO::Buffer)
      numbers.each { |number| type!(hook, "number", number, Integer) }
      violate("#{hook}: a negative number") if numbers.any?(&:negative?)
      length, offset = numbers.last(2)
      room = buffer.size - offset
      violate("#{hook}: #{length} bytes at #{offset} in a buffer of #{buffer.size}") if length > room
      room
    end

    def moved!(hook, result, room)
      result!(hook, result, Integer)
      violate("#{hook}: gave #{result}, for a buffer with room for #{room}") if result > room
      violate("#{hook}: gave #{result}, which is no errno") if result < -MAX_ERRNO
      result
    end

    def ready!(result, events)
      return result unless result

      result!(:io_wait, result, Integer)
      unasked = result.zero? || result.anybits?(~events)
      violate("io_wait: gave #{result}, was asked for #{events}") if unasked
      result
    end

    def selected!(result, lists)
      return result if result.nil?

      three = result.is_a?(Array) && result.size == 3 && result.all?(Array)
      violate("io_select: gave #{result.inspect}, not three Arrays") unless three
      result.zip(lists) do |ready, list|
        unasked = ready - (list || [])
        violate("io_select: gave #{unasked.inspect}, was not asked for it") if unasked.any?
      end
      result
    end

    def addresses!(result)
      return result if result.nil?

      result!(:address_resolve, result, Array)
      wrong = result.grep_v(Resolv::AddressRegex)
      violate("address_resolve: gave #{wrong.inspect}, no addresses") if wrong.any?
      result
    end

    # No fiber of this process still waits.
    def complete!
      left = Process.pid == @process ? @waits.select { |fiber, _| fiber.alive? } : {}
      return true if left.empty?

      list = left.map { |_, wait| "#{wait.hook}#{", although it was unblocked" if wait.unblocked}" }
      violate("closed while fibers wait in #{list.join("; ")}")
    end

    def now
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end
  end
end
