# frozen_string_literal: true

require "English"
require "open3"
require "socket"
require "timeout"
require "tempfile"
require "zlib"
require "uringmachine/scheduler_contract"
require_relative "../support/foreign_scheduler"
require_relative "../support/scheduled"

RSpec.describe "UM::SchedulerContract", :io_buffer do
  let(:violation) { UM::SchedulerContract::Violation }

  # Our scheduler with some hooks of another kind, wrapped in the checker.
  def checked(&)
    faulty = Class.new(UM::FiberScheduler, &)
    Class.new do
      define_singleton_method(:new) { UM::SchedulerContract.new(faulty.new) }
    end
  end

  # What is raised by the block in a fiber of the checked scheduler.
  def violation_of(checked = self.checked, &)
    error = nil
    in_fiber(scheduler: checked) { error = error_of(&) }
    expect(error).to be_a(violation)
    error.message[/(?<=: ).*/m]
  end

  def pair
    left, right = UNIXSocket.pair
    yield left, right
  ensure
    [left, right].each(&:close)
  end

  describe "with our own scheduler" do
    {
      "sleeps" => -> { [sleep(0), sleep(0.001)] },
      "sockets" => lambda do
        server = TCPServer.new("localhost", 0)
        Fiber.schedule { server.accept.then { |peer| peer.write(peer.gets.upcase) && peer.close } }
        client = TCPSocket.new("localhost", server.local_address.ip_port)
        client.puts("hello")
        [client.gets, client.read, client.close, server.close]
      end,
      "pipes" => lambda do
        input, output = IO.pipe
        Fiber.schedule { 3.times { output.puts("line") && sleep(0) } && output.close }
        [input.read_nonblock(1, exception: false), input.wait_readable(5) && input.gets, input.read,
         input.close]
      end,
      "files" => lambda do
        Tempfile.create do |file|
          file.write("abcdef")
          file.flush
          [file.pread(2, 1), file.pwrite("x", 0), file.rewind, file.read, File.read(file.path)]
        end
      end,
      "processes" => lambda do
        system("exit 3")
        [$CHILD_STATUS.exitstatus, `echo out`, Open3.capture2e("cat", stdin_data: "in").first]
      end,
      "names" => -> { Addrinfo.getaddrinfo("localhost", 80, :INET, :STREAM).map(&:ip_address) },
      "IO.select" => lambda do
        input, output = IO.pipe
        Fiber.schedule { output.write("x") }
        counts = [5, 0].map { |limit| IO.select([input, input], nil, [input], limit).map(&:size) }
        [input, output].each(&:close)
        counts
      end,
      "time limits" => lambda do
        late = begin
          Timeout.timeout(0.001) { sleep }
        rescue Timeout::Error => e
          e.class
        end
        [Timeout.timeout(5) { 1 }, late]
      end,
      "queues" => lambda do
        queue = Thread::SizedQueue.new(1)
        Fiber.schedule { 3.times { |number| queue << number } }
        [Array.new(3) { queue.pop }, queue.pop(timeout: 0.001)]
      end,
      "mutexes and conditions" => lambda do
        mutex = Thread::Mutex.new
        condition = Thread::ConditionVariable.new
        woken = []
        Fiber.schedule { mutex.synchronize { condition.wait(mutex, 5).then { woken << mutex.owned? } } }
        mutex.synchronize { sleep(0.001).then { condition.signal } }
        mutex.synchronize { woken << condition.wait(mutex, 0.001).class }
      end,
      "threads" => -> { [Thread.new { sleep(0.001) && 1 }.value, Thread.new { sleep(1) }.join(0.001)] },
      "interruption" => lambda do
        fiber = Fiber.schedule { sleep }
        Fiber.scheduler.fiber_interrupt(fiber, StopIteration.new) && sleep(0)
        fiber.alive?
      rescue StopIteration
        nil
      end
    }.each do |what, program|
      it "finds nothing: #{what}" do
        plain, seen = [UM::FiberScheduler, checked].map do |scheduler|
          in_fiber(scheduler:) do
            Thread.current.report_on_exception = false
            program.call
          end
        rescue StopIteration
          :stopped
        end
        expect(seen).to eq(plain)
      end
    end

    it "finds nothing: blocking operations", if: RUBY_VERSION >= "3.4" do
      enabled = checked { define_method(:initialize) { super().then { enable_blocking_operations } } }
      expect(in_fiber(scheduler: enabled) { Zlib.inflate(Zlib.deflate("x" * 100_000)).size }).to eq(100_000)
    end

    it "keeps a fork apart" do
      outcome = ruby_program(<<~'RUBY')
        require "uringmachine/scheduler_contract"
        Fiber.set_scheduler(UM::SchedulerContract.new(UM::FiberScheduler.new))
        Fiber.schedule { sleep(0.02) }
        Fiber.schedule { puts Process.wait2(fork { exit!(4) }).last.exitstatus }
      RUBY
      expect([outcome.stdout, outcome.stderr]).to eq(["4\n", ""])
    end

    it "passes on what is no hook" do
      answers = in_fiber(scheduler: checked) do
        scheduler = Fiber.scheduler
        [scheduler.machine.class, scheduler.respond_to?(:machine), scheduler.respond_to?(:nothing),
         error_of { Fiber.scheduler.nothing }.class, Fiber.scheduler.violations]
      end
      expect(answers).to eq([UringMachine, true, false, NoMethodError, []])
    end
  end

  it "has the hooks that the scheduler has" do
    contract = UM::SchedulerContract.new(SpecSupport::ForeignScheduler.new)
    foreign = SpecSupport::ForeignScheduler
    same = UM::SchedulerContract::OPTIONAL.map do |hook|
      contract.respond_to?(hook) == foreign.method_defined?(hook)
    end
    expect(same).to all(be(true))
    expect(error_of { contract.io_read }).to be_a(NoMethodError)
  end

  it "works around another scheduler" do
    value = Thread.new do
      Fiber.set_scheduler(UM::SchedulerContract.new(SpecSupport::ForeignScheduler.new))
      value = nil
      input, output = IO.pipe
      Fiber.schedule { value = [sleep(0.001), input.read] }
      Fiber.schedule { output.write("text") && output.close }
      Fiber.set_scheduler(nil)
      input.close
      value
    end.value
    expect(value).to eq([0, "text"])
  end

  describe "refuses" do
    it "what is no scheduler" do
      expect { UM::SchedulerContract.new(Object.new) }
        .to raise_error(violation, "Object: lacks block, unblock, kernel_sleep, io_wait, fiber, close")
    end

    it "calls by other threads" do
      error = nil
      scheduler_thread(checked) do |scheduler|
        Thread.new do
          error = error_of do
            scheduler.kernel_sleep(0)
          end
        end.join
      end.join
      expect(error.message).to end_with("called by a thread that has another scheduler, or none")
    end

    it "calls by blocking fibers" do
      expect(violation_of { Fiber.blocking { Fiber.scheduler.kernel_sleep(0) } })
        .to eq("kernel_sleep: called by a blocking fiber")
      error = nil
      scheduler_thread(checked) do |scheduler|
        error = error_of do
          scheduler.io_wait($stdin, IO::READABLE, 0)
        end
      end.join
      expect(error.message).to end_with("io_wait: called by a blocking fiber")
    end

    it "calls after the end, and a second end" do
      messages = scheduler_thread(checked) do |scheduler|
        scheduler.close
        [error_of { scheduler.close }.message, error_of do
                                                 Fiber.new do
                                                   scheduler.kernel_sleep(0)
                                                 end.resume
                                               end.message]
      end.value
      expect(messages).to match([/closed twice\z/, /kernel_sleep: called after the scheduler was closed\z/])
    end

    {
      "unblock without a fiber" => [[:unblock, :me, nil], "unblock: fiber is nil"],
      "a negative time limit of block" => [[:block, :me, -1], "block: timeout is -1"],
      "events that there are not" => [[:io_wait, $stdin, 0, nil], "io_wait: events are 0"],
      "a wait for an IO that is none" => [[:io_wait, 0, 1, nil], "io_wait: io is 0"],
      "a time limit that is none" => [[:io_wait, $stdin, 1, "1"], 'io_wait: timeout is "1"'],
      "a read of a number" => [[:io_read, 0, "BUFFER", 0, 0], "io_read: io is 0"],
      "a read into a String" => [[:io_read, $stdin, "text", 0, 0], 'io_read: buffer is "text"'],
      "a negative length" => [[:io_read, $stdin, "BUFFER", -1, 0], "io_read: a negative number"],
      "a read beyond the buffer" => [[:io_read, $stdin, "BUFFER", 3, 2],
                                     "io_read: 3 bytes at 2 in a buffer of 4"],
      "a position that is none" => [[:io_pread, $stdin, "BUFFER", nil, 0, 0], "io_pread: number is nil"],
      "a select with five arguments" => [[:io_select, [], [], [], 0, 0], "io_select: 5 arguments"],
      "a select of an IO" => [[:io_select, $stdin], /io_select: list is #<IO/],
      "closing an IO" => [[:io_close, $stdin], /io_close: descriptor is #<IO/],
      "a wait for a name" => [[:process_wait, "1", 0], 'process_wait: pid is "1"'],
      "a wait that does not wait" => [[:process_wait, -1, Process::WNOHANG],
                                      "process_wait: it does not wait with WNOHANG"],
      "a time limit without a block" => [[:timeout_after, 1, IOError, "late"], "timeout_after: no block"],
      "a name that is none" => [[:address_resolve, 1], "address_resolve: host is 1"],
      "an interruption by a String" => [[:fiber_interrupt, Fiber.current, "text"],
                                        'fiber_interrupt: exception is "text"']
    }.each do |what, (call, message)|
      it what do
        call = call.map { |argument| argument == "BUFFER" ? IO::Buffer.new(4) : argument }
        expect(violation_of { Fiber.scheduler.public_send(*call) }).to match(message)
      end
    end

    it "an operation that can't be called" do
      enabled = checked { define_method(:blocking_operation_wait) { |_| true } }
      expect(violation_of(enabled) { Fiber.scheduler.blocking_operation_wait(1) })
        .to eq("blocking_operation_wait: can't be called: 1")
    end
  end

  describe "catches a hook" do
    def answers(hook, value) = checked { define_method(hook) { |*, **, &_| value } }

    it "io_wait that gives what it was not asked for" do
      pair do |left, _|
        messages = [IO::WRITABLE, 0, :readable].map do |value|
          violation_of(answers(:io_wait, value)) { left.wait_readable(1) }
        end
        expect(messages).to eq(["io_wait: gave 4, was asked for 1", "io_wait: gave 0, was asked for 1",
                                "io_wait: gave :readable, not a Integer"])
      end
    end

    it "io_read that gives more than there is room for, no number, or no errno" do
      pair do |left, _|
        messages = [1 << 20, nil, -5000].map do |value|
          violation_of(answers(:io_read, value)) do
            left.readpartial(10)
          end
        end
        expect(messages).to match(["io_read: gave 1048576, for a buffer with room for 10",
                                   "io_read: gave nil, not a Integer",
                                   "io_read: gave -5000, which is no errno"])
      end
    end

    it "io_select that gives something else" do
      pair do |left, right|
        messages = [true, [[right], [], []]].map do |value|
          violation_of(answers(:io_select, value)) do
            IO.select([left, left])
          end
        end
        expect(messages).to match(["io_select: gave true, not three Arrays",
                                   /io_select: gave \[.*\], was not asked for it/])
      end
    end

    it "process_wait that gives no status" do
      pid = spawn("true")
      message = violation_of(answers(:process_wait, pid)) { Process.wait(pid) }
      Process.wait(pid)
      expect(message).to eq("process_wait: gave #{pid}, not a Process::Status")
    end

    it "address_resolve that gives no addresses" do
      messages = ["127.0.0.1", ["localhost"]].map do |value|
        violation_of(answers(:address_resolve, value)) { Addrinfo.getaddrinfo("localhost", 80) }
      end
      expect(messages).to eq(['address_resolve: gave "127.0.0.1", not a Array',
                              'address_resolve: gave ["localhost"], no addresses'])
    end

    it "timeout_after that loses the block's value" do
      loses = checked do
        def timeout_after(*)
          yield(1)
          nil
        end
      end
      expect(violation_of(loses) do
               Timeout.timeout(1) do
                 :value
               end
             end).to eq("timeout_after: did not give the block's value")
    end

    it "kernel_sleep that comes back early, or takes what is no duration" do
      expect(violation_of(answers(:kernel_sleep, true)) { sleep(0.5) })
        .to eq("kernel_sleep: came back early, and nobody had called unblock")
      expect(violation_of(answers(:kernel_sleep, true)) do
               sleep(-1)
             end).to eq("kernel_sleep: took -1 for a duration")
    end

    it "fiber that starts none, gives none, or makes a blocking one" do
      bodies = [->(&body) { Fiber.new(&body) }, ->(&body) { Fiber.new(&body).resume || :done },
                ->(&body) { Fiber.new(blocking: true, &body).tap(&:resume) }]
      messages = bodies.map do |make|
        scheduler = checked { define_method(:fiber) { |&body| make.call(&body) } }
        scheduler_thread(scheduler) { error_of { Fiber.schedule { Fiber.yield || true } }&.message }.value
      end
      expect(messages).to match([/fiber: did not start it/, /fiber: gave :done, not a Fiber/,
                                 /fiber: it is blocking/])
    end

    it "close that leaves fibers waiting" do
      leaves = checked { def scheduler_close = true }
      thread = scheduler_thread(leaves) { Fiber.schedule { sleep(60) } }
      expect(error_of do
               thread.join
             end).to be_a(violation).and have_attributes(message: /closed while fibers wait in kernel_sleep/)
    end

    it "unblock that wakes nobody" do
      deaf = checked do
        def unblock(*) = true
        def scheduler_close = true
      end
      thread = scheduler_thread(deaf) do
        queue = Thread::Queue.new
        Fiber.schedule { queue.pop }
        queue << 1
      end
      expect(error_of { thread.join }).to have_attributes(message: /wait in block, although it was unblocked/)
    end
  end

  it "keeps violations that somebody has rescued" do
    violations = in_fiber(scheduler: checked) do
      error_of { Fiber.scheduler.io_close(nil) }
      Fiber.scheduler.violations.map(&:message)
    end
    expect(violations).to match([/io_close: descriptor is nil/])
  end
end
