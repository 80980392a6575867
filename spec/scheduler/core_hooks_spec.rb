# frozen_string_literal: true

require "socket"
require "tempfile"
require "zlib"
require_relative "../support/scheduled"

# Hooks that Ruby calls since 4.0, through what calls them.
RSpec.describe "UM::FiberScheduler: hooks of Ruby 4.0" do
  # Notes what it is asked by core, and has all of the hooks itself: what Ruby calls is found out
  # without what our class has.
  asked = Class.new(UM::FiberScheduler) do
    attr_reader :calls

    def initialize
      super
      @calls = []
    end

    %i[io_close io_write fiber_interrupt yield].each do |hook|
      define_method(hook) do |*arguments|
        @calls << [hook, *arguments]
        defined?(super) ? super(*arguments) : true
      end
    end
  end

  # What core calls for the block, in a fiber: `[hook, arguments…]` each.
  define_singleton_method(:calls_for) do |&block|
    calls = error = nil
    Thread.new do
      Fiber.set_scheduler(asked.new)
      Fiber.schedule do
        block.call
        calls = Fiber.scheduler.calls.dup
      rescue Exception => error # rubocop:disable Lint/RescueException, Naming/RescuedExceptionsVariableName
        nil
      end
    end.join
    raise error if error

    calls
  end

  def calls_for(&) = self.class.parent_groups.last.calls_for(&)

  # Whether this Ruby calls a hook for the block.
  define_singleton_method(:asks?) { |hook, &block| calls_for(&block).any? { |name,| name == hook } }

  closes = asks?(:io_close) { IO.pipe.each(&:close) }
  flushes = asks?(:io_write) { Tempfile.create { |file| file.write("x").then { file.flush } } }
  interrupts = asks?(:fiber_interrupt) do
    reader, writer = IO.pipe
    Fiber.schedule { reader.wait_readable(1) rescue nil } # rubocop:disable Style/RescueModifier
    [reader, writer].each(&:close)
  end
  # The handler stays: the main thread may run it later.
  yields = asks?(:yield) do
    trap(:USR2) { nil }
    Process.kill(:USR2, Process.pid)
    20.times { Zlib.deflate("x" * 10_000) }
  end

  describe "io_close", if: closes do
    it "gets the number of each descriptor, and closes it in fact" do
      numbers = closed = nil
      calls = calls_for do
        ios = [*IO.pipe, *UNIXSocket.pair, TCPServer.new("127.0.0.1", 0), File.open(__FILE__)]
        numbers = ios.map(&:fileno)
        ios.each(&:close)
        closed = numbers.map { |number| File.exist?("/proc/self/fd/#{number}") }
      end
      expect(calls).to eq(numbers.map { |number| [:io_close, number] })
      expect(closed.uniq).to eq([false])
    end

    it "has closed it when close comes back: the other end is told" do
      seen = in_fiber do
        reader, writer = IO.pipe
        writer.close
        ended = reader.read_nonblock(1, exception: false)
        reader.close
        [ended, reader.closed?, writer.closed?]
      end
      expect(seen).to eq([nil, true, true])
    end

    it "leaves the number to the next file" do
      text = in_fiber do
        reader, writer = IO.pipe
        number = reader.fileno
        reader.close
        writer.close
        File.open(__FILE__) { |file| [file.fileno == number, file.read(29)] }
      end
      expect(text).to eq([true, "# frozen_string_literal: true"])
    end
  end

  describe "io_write", if: flushes do
    it "is asked to write out what was buffered: by flush, by close, and before a seek" do
      Tempfile.create do |tempfile|
        sizes = nil
        calls = calls_for do
          File.open(tempfile.path, "w+") do |file|
            sizes = []
            file.write("one")
            sizes << file.flush.size
            file.write("two")
            file.rewind
            sizes << file.read
            file.write("three")
          end
          sizes << File.size(tempfile.path)
        end
        expect(sizes).to eq([3, "onetwo", 11])
        expect(calls.count { |hook,| hook == :io_write }).to eq(3)
      end
    end

    it "passes on why it could not" do
      in_fiber do
        file = File.open("/dev/full", "w")
        file.write("x")
        expect { file.flush }.to raise_error(Errno::ENOSPC)
        expect { file.close }.to raise_error(Errno::ENOSPC)
      end
    end

    it "is asked when the program ends" do
      Tempfile.create do |tempfile|
        outcome = ruby_program(<<~'RUBY', tempfile.path)
          require "uringmachine"
          Fiber.set_scheduler(UM::FiberScheduler.new)
          Fiber.schedule { File.open(ARGV[0], "w").write("written") }
        RUBY
        expect([outcome.stderr, outcome.status.exitstatus,
                File.read(tempfile.path)]).to eq(["", 0, "written"])
      end
    end
  end

  describe "fiber_interrupt", if: interrupts do
    # What waits on an IO, and what it ends with when that is closed.
    {
      "read" => ->(reader, _) { [reader, -> { reader.read(1) }] },
      "gets" => ->(reader, _) { [reader, -> { reader.gets }] },
      "wait_readable" => ->(reader, _) { [reader, -> { reader.wait_readable }] },
      "write" => ->(_, writer) { [writer, -> { writer.write("x" * 1_000_000) }] }
    }.each do |name, make|
      { "a fiber" => ->(io) { Fiber.schedule { io.close } },
        "another thread" => ->(io) { Thread.new { io.close }.join } }.each do |who, close|
        it "ends #{name} when #{who} closes the IO" do
          error = nil
          in_fiber do
            reader, writer = pipe = IO.pipe
            io, wait = make.call(reader, writer)
            waiting = Fiber.schedule { error = error_of { wait.call } }
            sleep(0.001)
            close.call(io)
            wait_until { !waiting.alive? }
            pipe.each(&:close)
          end
          expect([error.class, error.message]).to eq([IOError, "stream closed in another thread"])
        end
      end
    end

    it "ends all that wait on it, and close comes back when they have let go" do
      errors = []
      in_fiber do
        reader, writer = IO.pipe
        3.times { Fiber.schedule { errors << error_of { reader.wait_readable }.class } }
        reader.close
        errors << :closed
        writer.close
      end
      expect(errors).to eq([IOError, IOError, IOError, :closed])
    end
  end

  describe "yield", if: yields do
    it "gives others a turn when a signal was handled in a fiber that computes" do
      order = []
      trap(:USR2) { order << :signal }
      in_fiber do
        Fiber.schedule { sleep(0).then { order << :other } }
        Process.kill(:USR2, Process.pid)
        20.times { Zlib.deflate("x" * 10_000) }
        order << :after
      end
      expect(order).to eq(%i[signal other after])
    end

    it "takes nothing from a fiber that a signal meets while it waits" do
      outcome = ruby_program(<<~'RUBY')
        require "uringmachine"
        Fiber.set_scheduler(UM::FiberScheduler.new)
        queue = Thread::Queue.new
        trap(:USR1) { queue << :signal }
        # The last one that parks is the one that waits.
        Fiber.schedule do
          Thread.new { sleep(0.05).then { Process.kill(:USR1, Process.pid) } }
          sleep(0.01)
          puts queue.pop
        end
      RUBY
      expect([outcome.stdout, outcome.stderr]).to eq(["signal\n", ""])
    end
  end
end
