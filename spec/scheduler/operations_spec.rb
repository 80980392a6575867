# frozen_string_literal: true

require "fileutils"
require "tmpdir"
require_relative "../support/blocking_operations"

RSpec.describe "UM::FiberScheduler: blocking operations", if: SpecSupport::BlockingOperations::HANDED_OUT do
  let(:enabled) { SpecSupport::BlockingOperations.scheduler(2) }
  let(:single) { SpecSupport::BlockingOperations.scheduler(1) }

  before { fifo }

  after { FileUtils.rm_r(@folder) }

  # A pipe with a name: to open it for reading lasts until somebody opens it for writing.
  def fifo
    @fifo ||= File.join(@folder ||= Dir.mktmpdir("polyphony-spec"), "fifo").tap { |path| File.mkfifo(path) }
  end

  # Opens it, which nobody ends.
  def open_for_ever = File.open(fifo).close

  # Lets the others run until a thread has begun to open it: it has another number of waits then.
  def let_begin = 5.times { sleep(0.002) }

  def outcome_of(program, **)
    outcome = ruby_program(<<~RUBY, fifo, **)
      require "timeout"
      require "uringmachine"
      require "zlib"
      FIFO = ARGV.first
      Fiber.set_scheduler(UM::FiberScheduler.new.enable_blocking_operations)
      #{program}
    RUBY
    [outcome.stdout.lines.map(&:chomp), outcome.stderr, outcome.status.exitstatus]
  end

  it "run beside other fibers" do
    values = in_fibers(-> { File.read(fifo) }, -> { File.write(fifo, "text") }, scheduler: enabled)
    expect(values).to eq(["text", 4])
  end

  it "come to what they come to without", :io_buffer do
    bytes = Random.bytes(5000)
    copy = IO::Buffer.new(2 << 20)
    source = IO::Buffer.for("ab" * (1 << 20))
    values = in_fibers(
      -> { Zlib.inflate(Zlib.deflate(bytes)) == bytes },
      -> { copy.copy(source).then { copy.get_string == "ab" * (1 << 20) } },
      -> { File.stat(__FILE__).size == File.size(__FILE__) },
      -> { error_of { File.open("/nowhere/at/all") }.class },
      -> { Dir.mktmpdir { |path| Dir.mkdir("#{path}/a").then { Dir.children(path) } } },
      scheduler: enabled
    )
    expect(values).to eq([true, true, true, Errno::ENOENT, ["a"]])
  end

  it "may be collected around", :gc do
    sizes = in_fibers([-> { Zlib.deflate("x" * 100).size }] * 2, scheduler: enabled)
    expect(sizes).to eq([Zlib.deflate("x" * 100).size] * 2)
  end

  it "are carried out by more fibers than there are threads" do
    texts = Array.new(50) { |number| number.to_s * 20_000 }
    deflated = in_fibers(texts.map { |text| -> { Zlib.deflate(text) } }, scheduler: enabled)
    expect(deflated.map { |bytes| Zlib.inflate(bytes) } == texts).to be(true)
  end

  it "are carried out for several threads by the same pool" do
    pool = UM::BlockingOperationThreadPool.new(2)
    shared = Class.new(UM::FiberScheduler) do
      define_method(:initialize) { super().then { enable_blocking_operations(pool) } }
    end
    sizes = Array.new(4) do
      Thread.new do
        in_fiber(scheduler: shared) do
          Zlib.inflate(Zlib.deflate("x" * 50_000)).size
        end
      end
    end
    expect(sizes.map(&:value)).to eq([50_000] * 4)
  end

  it "move memory that only the waiting fiber knows", :gc do
    text, = in_fibers(
      -> { File.open(fifo.dup) { |file| file.read(4) } },
      -> { GC.start.then { GC.compact if GC.respond_to?(:compact) }.then { File.write(fifo, "text") } },
      scheduler: enabled
    )
    expect(text).to eq("text")
  end

  describe "that are broken off", if: SpecSupport::BlockingOperations::NATIVE do
    it "by a time limit, around collections", :gc do
      in_fiber(scheduler: enabled) do
        expect(error_of { Timeout.timeout(0.01) { open_for_ever } }).to be_a(Timeout::Error)
      end
    end

    it "by a time limit, and the fiber goes on" do
      in_fiber(scheduler: enabled) do
        3.times { expect { Timeout.timeout(0.01) { open_for_ever } }.to raise_error(Timeout::Error) }
        expect(Zlib.inflate(Zlib.deflate("x" * 1000)).size).to eq(1000)
      end
    end

    it "by an exception, and others have the thread" do
      error = nil
      size = in_fiber(scheduler: single) do
        fiber = Fiber.schedule { error = error_of { open_for_ever } }
        let_begin
        Fiber.scheduler.fiber_interrupt(fiber, IOError.new("enough"))
        File.size(__FILE__)
      end
      expect([error.class, error.message, size]).to eq([IOError, "enough", File.size(__FILE__)])
    end

    it "by Fiber#raise" do
      error = nil
      thread = scheduler_thread(enabled) do
        fiber = Fiber.schedule { error = error_of { open_for_ever } }
        Fiber.schedule { let_begin.then { fiber.raise(KeyError, "raised") } }
      end
      thread.join
      expect([error.class, error.message]).to eq([KeyError, "raised"])
    end

    it "by Fiber#kill" do
      ended = []
      thread = scheduler_thread(enabled) do
        fiber = Fiber.schedule do
          open_for_ever
        ensure
          ended << :killed
        end
        Fiber.schedule { let_begin.then { fiber.kill }.then { ended << :after } }
      end
      thread.join
      expect(ended).to include(:killed)
    end

    it "before a thread was free for them" do
      ended = []
      in_fiber(scheduler: single) do
        first = Fiber.schedule { ended << error_of { open_for_ever }.class }
        let_begin
        expect { Timeout.timeout(0.01) { File.stat(__FILE__) } }.to raise_error(Timeout::Error)
        Fiber.scheduler.fiber_interrupt(first, IOError.new("enough"))
        ended << File.stat(__FILE__).class
      end
      expect(ended).to eq([IOError, File::Stat])
    end

    it "once, by the first of several exceptions; the others come at the next waits" do
      errors = []
      in_fiber(scheduler: enabled) do
        fiber = Fiber.schedule do
          3.times do
            errors << error_of do
              errors.empty? ? open_for_ever : sleep
            end.message
          end
        end
        let_begin
        3.times { |number| Fiber.scheduler.fiber_interrupt(fiber, IOError.new("number #{number}")) }
      end
      expect(errors).to eq(["number 0", "number 1", "number 2"])
    end

    it "and not by values" do
      text, = in_fibers(
        -> { File.read(fifo) },
        lambda {
          let_begin
          Fiber.scheduler.machine.pending.map(&:fiber).each do |fiber|
            Fiber.scheduler.machine.schedule(fiber, 1)
          end
          sleep(0.001)
          File.write(fifo, "text")
        },
        scheduler: enabled
      )
      expect(text).to eq("text")
    end

    # Before a thread has begun, while it works, and when it has just ended. Where a deflation was
    # broken off, its end raises in place of the timeout, also without a scheduler.
    it "at any moment" do
      data = Random.bytes(30_000)
      whole = Zlib.deflate(data)
      results = in_fiber(scheduler: enabled) do
        Array.new(300) do |number|
          Timeout.timeout(0.00001 * number) { Zlib.deflate(data) == whole }
        rescue Timeout::Error, Zlib::DataError
          :late
        end
      end
      expect(results - [true]).to all(be(:late))
    end

    it "with no thread to be had: Ruby does it" do
      pool = UM::BlockingOperationThreadPool.new(1)
      workers = pool.instance_variable_get(:@workers)
      def workers.hire = raise(ThreadError, "none left")
      without = Class.new(UM::FiberScheduler) do
        define_method(:initialize) { super().then { enable_blocking_operations(pool) } }
      end
      expect(in_fiber(scheduler: without) { Zlib.inflate(Zlib.deflate("x" * 1000)).size }).to eq(1000)
    end
  end

  it "end their threads when there is nothing to do", if: SpecSupport::BlockingOperations::NATIVE do
    before = Thread.list
    in_fiber(scheduler: enabled) { Zlib.deflate("x" * 1000) }
    wait_until { (Thread.list - before).empty? }
  end

  describe "in programs" do
    it "go on beside a fork, in the parent and in the child" do
      lines, stderr, status = outcome_of(<<~'RUBY')
        Fiber.schedule { puts File.open(FIFO, &:read) }
        Fiber.schedule do
          sleep(0.01)
          pid = fork { exit!(Zlib.inflate(Zlib.deflate("x" * 7)).size) }
          code = Process.wait2(pid).last.exitstatus
          File.write(FIFO, "child #{code}")
        end
      RUBY
      expect([lines, stderr, status]).to eq([["child 7"], "", 0])
    end

    it "are broken off in the parent, and not in the child that was forked meanwhile",
       if: SpecSupport::BlockingOperations::NATIVE do
      lines, stderr, status = outcome_of(<<~'RUBY')
        $stdout.sync = true
        opening = Fiber.schedule do
          File.open(FIFO)
        rescue IOError => e
          puts e.message
          exit!(3) if e.message == "child"
        end
        Fiber.schedule do
          sleep(0.01)
          pid = fork { opening.raise(IOError, "child") }
          puts Process.wait2(pid).last.exitstatus
          Fiber.scheduler.fiber_interrupt(opening, IOError.new("parent"))
        end
      RUBY
      expect([lines, stderr, status]).to eq([%w[child 3 parent], "", 0])
    end

    it "end with the program, by an interrupt", if: SpecSupport::BlockingOperations::NATIVE do
      lines, stderr, status = outcome_of(<<~'RUBY')
        $stdout.sync = true
        Fiber.schedule { File.open(FIFO) }
        Thread.new { sleep(0.05).then { Process.kill(:INT, Process.pid) } }
        begin
          Fiber.set_scheduler(nil)
        rescue Interrupt
          puts "interrupted"
          exit(5)
        end
      RUBY
      expect([lines, stderr, status]).to eq([["interrupted"], "", 5])
    end

    it "don't keep a thread from being killed", if: SpecSupport::BlockingOperations::NATIVE do
      lines, stderr, status = outcome_of(<<~'RUBY')
        thread = Thread.new do
          Fiber.set_scheduler(UM::FiberScheduler.new.enable_blocking_operations)
          Fiber.schedule { File.open(FIFO) }
          Fiber.scheduler.run
        end
        sleep(0.05)
        thread.kill
        Thread.new { sleep(0.2).then { File.open(FIFO, "w").close } }
        puts thread.join(5).inspect[/dead/]
      RUBY
      expect([lines, stderr, status]).to eq([["dead"], "", 0])
    end
  end
end
