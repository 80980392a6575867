# frozen_string_literal: true

require "io/nonblock"

module SpecSupport
  # Ends the process when an example takes too long, and shows where every thread was.
  #
  # Timeout would need the stuck thread to come back to Ruby. Here a thread watches the clock;
  # and for native code that never lets go of the VM lock, so that no thread can run, a small
  # shell process beside us does (watchdog.sh), a few seconds later.
  #
  # An example that needs longer says `time_limit: seconds`.
  module Watchdog
    LIMIT_SECONDS = 30
    # How much later than the thread the process outside takes over.
    GRACE_SECONDS = 10
    # Between examples (before(:context) hooks), and at the end until the process is gone.
    BETWEEN_SECONDS = 900
    EXIT_SECONDS = 60
    POLL_SECONDS = 0.5
    SCRIPT = File.expand_path("watchdog.sh", __dir__)

    module_function

    def install(config)
      config.before(:suite) { Watchdog.start }
      config.after(:suite) { Watchdog.tell_keeper(EXIT_SECONDS) }
      config.around { |example| Watchdog.watch(example) { example.run } }
    end

    def start
      @keeper = open_keeper
      tell_keeper(BETWEEN_SECONDS)
      @thread = Thread.new { poll }
      @thread.name = "spec watchdog"
    end

    # The shell starts the keeper in the background and ends, so that it is no child of ours and
    # never turns up in a Process.wait of some example.
    def open_keeper
      reader, writer = IO.pipe
      reader.nonblock = false
      starter = spawn("bash", "-c", '"$@" <&3 3<&- &', "bash", "bash", SCRIPT, Process.pid.to_s, 3 => reader)
      Process.wait(starter)
      reader.close
      writer
    end

    def watch(example)
      limit = example.metadata.fetch(:time_limit, LIMIT_SECONDS) * GCMode.slowdown
      tell_keeper(limit + GRACE_SECONDS)
      @watched = [example, limit, now + limit]
      yield
    ensure
      @watched = nil
      tell_keeper(BETWEEN_SECONDS)
    end

    def tell_keeper(seconds) = @keeper.syswrite("#{seconds}\n")

    def poll
      loop do
        sleep POLL_SECONDS
        example, limit, deadline = @watched
        give_up(example, limit) if deadline && now > deadline
      end
    end

    def give_up(example, limit)
      STDERR.puts "\n\ntime limit of #{limit} s exceeded: #{example.location} #{example.full_description}"
      Thread.list.each { |thread| print_backtrace(thread) unless thread == @thread }
      end_children
    ensure
      exit!(1)
    end

    def print_backtrace(thread)
      STDERR.puts "\n#{thread.inspect}"
      (thread.backtrace || ["(no backtrace)"]).each { |line| STDERR.puts "  #{line}" }
    end

    # Whatever the example had started would go on without us.
    def end_children
      Dir.glob("/proc/self/task/*/children").flat_map { |path| File.read(path).split }.each do |pid|
        Process.kill(:KILL, Integer(pid))
      rescue Errno::ESRCH
        next
      end
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
end
