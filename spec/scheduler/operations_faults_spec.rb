# frozen_string_literal: true

require "fileutils"
require "socket"
require "tmpdir"
require_relative "../support/blocking_operations"

RSpec.describe "UM::FiberScheduler: blocking operations, when something goes wrong",
               if: SpecSupport::BlockingOperations::NATIVE do
  let(:enabled) { SpecSupport::BlockingOperations.scheduler(2) }
  let(:single) { SpecSupport::BlockingOperations.scheduler(1) }
  let(:folder) { Dir.mktmpdir("polyphony-spec") }
  let(:fifo) { File.join(folder, "fifo").tap { |path| File.mkfifo(path) unless File.exist?(path) } }
  let(:copy) { File.join(folder, "copy") }

  after { FileUtils.rm_r(folder) }

  # Both ends of a pipe (or what else `ends` is), while the block runs.
  def with(ends = IO.pipe)
    yield(*ends)
  ensure
    ends.each(&:close)
  end

  def open_for_ever = File.open(fifo).close

  def let_begin = 5.times { sleep(0.002) }

  def descriptors = Dir.children("/proc/self/fd").size

  # The threads that were started since.
  def workers(before) = Thread.list - before - [Thread.current]

  # Lets the others run until one of them waits in the hook.
  def let_ask(before)
    sleep(0.001) until workers(before).any? { |thread| thread.backtrace.to_s.include?("io_wait") }
  end

  # Its standard error and its status.
  def end_of(program)
    outcome = ruby_program(<<~RUBY, fifo)
      require "uringmachine"
      FIFO = ARGV.first
      def scheduler = UM::FiberScheduler.new.enable_blocking_operations
      #{program}
    RUBY
    [outcome.stderr, outcome.status.exitstatus || outcome.status.termsig]
  end

  describe "IO.copy_stream, which asks the scheduler from a worker" do
    { "a pipe" => -> { IO.pipe }, "a socket" => -> { UNIXSocket.pair } }.each do |name, ends|
      it "waits for #{name}" do
        with(ends.call) do |source, sink|
          values = in_fibers(
            -> { IO.copy_stream(source, copy) },
            -> { let_begin.then { sink << "text" }.then { sink.close } },
            scheduler: enabled
          )
          expect([values.first, File.read(copy)]).to eq([4, "text"])
        end
      end
    end

    it "is broken off, and its worker has the next operation" do
      with do |source|
        errors = in_fiber(scheduler: single) do
          Array.new(3) { error_of { Timeout.timeout(0.01) { IO.copy_stream(source, copy) } }.class }
        end
        expect(errors).to eq([Timeout::Error] * 3)
      end
    end

    it "ends with the exception that was raised in the worker, which goes on" do
      with do |source|
        before = Thread.list
        error, size, same = in_fiber(scheduler: single) do
          threads = nil
          Fiber.schedule do
            let_ask(before)
            threads = workers(before).each { |thread| thread.raise(KeyError, "raised") }
          end
          [error_of { IO.copy_stream(source, copy) }, File.size(__FILE__), threads == workers(before)]
        end
        expect([error.class, error.message]).to eq([KeyError, "raised"])
        expect([size, same]).to eq([File.size(__FILE__), true])
      end
    end

    it "ends when its descriptor is closed" do
      with do |source|
        error = in_fiber(scheduler: single) do
          Fiber.schedule { let_begin.then { source.close } }
          error_of { IO.copy_stream(source, copy) }
        end
        expect(error).to be_a(IOError)
      end
    end

    it "ends with a worker that was killed, and another one has the next operation" do
      with do |source|
        before = Thread.list
        error, size = in_fiber(scheduler: single) do
          Fiber.schedule { let_ask(before).then { workers(before).each(&:kill) } }
          [error_of { IO.copy_stream(source, copy) }, File.size(__FILE__)]
        end
        expect([error.class, size]).to eq([Errno::EINTR, File.size(__FILE__)])
      end
    end
  end

  it "keep their fiber while its signal handler has another one", :gc do
    stderr, status = end_of(<<~'RUBY')
      trap(:USR1) { File.stat(__FILE__) }
      def deep(depth) = depth.zero? ? yield : deep(depth - 1) { yield }
      def leave_behind
        Fiber.set_scheduler(scheduler)
        Fiber.schedule { sleep(0.02).then { File.open(FIFO) { 1 } } }
        nil
      end
      Thread.new do
        sleep(0.1).then { Process.kill(:USR1, $$) }
        sleep(0.1).then { Thread.main.raise(IOError, "stop", []) }
      end
      deep(50) do
        leave_behind
        Fiber.set_scheduler(nil)
      rescue IOError
        nil
      end
      begin
        raise "another"
      rescue RuntimeError
        nil
      end
      5.times { GC.start.then { deep(300) { 1 } } }
      exit!(ObjectSpace.each_object(Fiber).count)
    RUBY
    expect([stderr, status]).to eq(["", 2])
  end

  it "that wait get another worker for one that was killed" do
    before = Thread.list
    size = in_fiber(scheduler: single) do
      fiber = Fiber.schedule { error_of { open_for_ever } }
      let_begin
      Fiber.schedule { sleep(0.001).then { workers(before).each(&:kill) } }
      File.size(__FILE__).tap { Fiber.scheduler.fiber_interrupt(fiber, IOError.new("enough")) }
    end
    expect(size).to eq(File.size(__FILE__))
  end

  it "keep what they have opened when an exception comes too late, which comes at the next wait" do
    errors = []
    leaked = in_fiber(scheduler: enabled) do
      File.open(File::NULL).close
      before = descriptors
      me = Fiber.current
      5.times do
        Fiber.schedule do
          Fiber.scheduler.yield
          Fiber.blocking { sleep(0.01) }
          Fiber.scheduler.fiber_interrupt(me, IOError.new("late"))
        end
        errors << error_of { File.open(File::NULL).close.then { sleep(1) } }.message
      end
      descriptors - before
    end
    expect([leaked, errors]).to eq([0, ["late"] * 5])
  end

  it "don't let a time limit that comes too late out of its block" do
    errors = in_fiber(scheduler: enabled) do
      Array.new(5) do
        Fiber.schedule { Fiber.scheduler.yield.then { Fiber.blocking { sleep(0.01) } } }
        file = error_of { Timeout.timeout(0.005) { next File.open(File::NULL) } }
        error_of { sleep(0.001) }
      ensure
        file.close if file.is_a?(File)
      end
    end
    expect(errors).to eq([nil] * 5)
  end

  it "have workers that can be ended, whatever their first caller has deferred" do
    stderr, status = end_of(<<~'RUBY')
      owner = Thread.new do
        Fiber.set_scheduler(scheduler)
        Fiber.schedule do
          Thread.handle_interrupt(Object => :never) { File.stat(__FILE__) }
          File.open(FIFO)
        end
      end
      sleep(0.05)
      worker = (Thread.list - [Thread.current, owner]).first
      exit!(worker.kill.join(5) ? 3 : 4)
    RUBY
    expect([stderr, status]).to eq(["", 3])
  end

  it "go on when their worker was only woken" do
    before = Thread.list
    text, = in_fibers(
      -> { File.read(fifo) },
      lambda {
        let_begin.then { workers(before).each(&:wakeup) }
        let_begin.then { File.write(fifo, "text") }
      },
      scheduler: enabled
    )
    expect(text).to eq("text")
  end

  it "end silently with the program" do
    stderr, status = end_of(<<~'RUBY')
      Thread.new { Fiber.set_scheduler(scheduler).then { Fiber.schedule { File.open(FIFO) } } }
      sleep(0.05)
      exit(3)
    RUBY
    expect([stderr, status]).to eq(["", 3])
  end
end
