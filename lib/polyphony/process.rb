# frozen_string_literal: true

# Child processes, and what becomes of fibers in them.
module Polyphony
  # A child process that ends with the fiber that watches it.
  class Watched
    # How long it has to end by itself once it got a SIGTERM.
    GRACE_SECONDS = 5

    # It didn't.
    class Stubborn < StandardError; end
    private_constant :Stubborn

    # @param pid [Integer]
    def initialize(pid)
      @pid = pid
    end

    # Waits for its end.
    # @return [Process::Status]
    def wait
      return @status if @status

      @status = Process.wait2(@pid).last
    end

    # Ends it: by SIGTERM, or else by SIGKILL.
    # @return [void]
    def stop
      signal(:TERM) { Polyphony.machine.timeout(GRACE_SECONDS, Stubborn) { wait } }
    rescue Stubborn
      nil
    ensure
      signal(:KILL) { wait }
    end

    private

    # Nothing, where it has ended.
    def signal(name)
      return if @status

      Process.kill(name, @pid)
      yield
    rescue Errno::ESRCH, Errno::ECHILD
      nil
    end
  end

  # A child of a fork has none of the fibers of its parent: the one that has forked becomes its main
  # fiber, and it gets a machine of its own when it first needs one.
  module Forks
    # Ruby's own hook of `fork` and `IO.popen("-")`.
    # @return [Integer]
    def _fork
      ours = Forks.in_polyphony?
      super.tap { |pid| Polyphony.__send__(:begin_anew) if ours && pid.zero? }
    end

    # See `Process.daemon`.
    # @return [Integer]
    def daemon(...)
      ours = Forks.in_polyphony?
      super.tap { Polyphony.__send__(:begin_anew) if ours }
    end

    # Asked before the fork: from 4.0 on, Ruby takes the scheduler away in the child.
    def self.in_polyphony? = Fiber.scheduler.is_a?(EndsFibers)
  end

  class << self
    # Forks, as `Kernel#fork` does.
    # @yield in the child, which ends with the block
    # @return [Integer] the child's pid
    def fork(&)
      raise ArgumentError, "no block given" unless block_given?

      Kernel.fork(&)
    end

    # Runs a command, or the block in a fork of this program, and waits for its end. When the fiber
    # that waits is ended, so is the process: by SIGTERM, and after {Watched::GRACE_SECONDS} by
    # SIGKILL.
    # @param command [String, Array, nil] as `Process.spawn` takes it
    # @return [Process::Status]
    def watch_process(command = nil, &)
      raise ArgumentError, "a command or a block is needed" if command.nil? != block_given?

      process = Watched.new(command ? Process.spawn(*command) : Kernel.fork(&))
      begin
        process.wait
      ensure
        process.stop
      end
    end

    private

    # In a process that was just forked.
    def begin_anew
      @root_fiber = Fiber.current
      # It remembers the process. Where Ruby has taken it away, the first `spin` installs another one.
      EndsFibers.extended(Fiber.scheduler) if Fiber.scheduler
      Trap.renew
    end
  end
end

Process.singleton_class.prepend(Polyphony::Forks)
