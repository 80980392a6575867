# frozen_string_literal: true

require "English"
require "socket"
require "tempfile"
require "timeout"
require_relative "../support/scheduled"

# Called as Ruby 4.0 calls them, on every Ruby.
RSpec.describe "UM::FiberScheduler: the hooks", :io_buffer do
  after { @ios&.each(&:close) }

  def socket_pair = UNIXSocket.pair.tap { |ends| (@ios ||= []).concat(ends) }

  def pipe = IO.pipe.tap { |ends| (@ios ||= []).concat(ends) }

  # A hook's value, called in a fiber.
  def hook(name, *arguments, &) = in_fiber { Fiber.scheduler.public_send(name, *arguments, &) }

  describe "io_read, io_write, io_pread, io_pwrite" do
    it "do no I/O for nothing" do
      reader, writer = pipe
      file = File.open(__FILE__).tap { |opened| @ios << opened }
      buffer = IO::Buffer.new(4)
      results = in_fiber do
        scheduler = Fiber.scheduler
        before = scheduler.machine.metrics[:total_ops]
        reads = [scheduler.io_read(reader, buffer, 0, 4), scheduler.io_pread(file, buffer, 0, 0, 4)]
        writes = [scheduler.io_write(writer, buffer, 0, 4),
                  scheduler.io_write(writer, IO::Buffer.for(""), 0, 0)]
        [reads, writes, scheduler.machine.metrics[:total_ops] - before]
      end
      expect(results).to eq([[0, 0], [0, 0], 0])
    end

    it "write an empty line to a stream without a buffer, and nothing" do
      left, right = socket_pair
      left.sync = true
      in_fiber { left.puts("") || left.write("", "") || left.print("") }
      left.close
      expect(right.read).to eq("\n")
    end

    it "move at least the length, over many pieces, and no more than there is room for" do
      left, right = socket_pair
      buffer = IO::Buffer.new(6)
      read, = in_fibers(
        -> { Fiber.scheduler.io_read(left, buffer, 4, 2) },
        -> { %w[a b cdefgh].each { |piece| right.write(piece).then { sleep(0) } } }
      )
      expect([read, buffer.get_string, left.readpartial(10)]).to eq([4, "\0\0abcd", "efgh"])
    end

    it "write all when asked to, while the reader is slow" do
      left, right = socket_pair
      data = "x" * 500_000
      written, read = in_fibers(
        -> { Fiber.scheduler.io_write(left, IO::Buffer.for(data), data.size, 0).tap { left.close } },
        -> { right.read.size }
      )
      expect([written, read]).to eq([data.size, data.size])
    end

    it "are interrupted while they wait, and lose nothing", :gc do
      left, right = socket_pair
      fiber = nil
      message, text = in_fibers(
        lambda do
          fiber = Fiber.current
          [error_of { Fiber.scheduler.io_read(left, IO::Buffer.new(4), 4, 0) }.message, left.readpartial(4)]
        end,
        -> { Fiber.scheduler.fiber_interrupt(fiber, IOError.new("closed")).then { right.write("data") } }
      ).first
      expect([message, text]).to eq(%w[closed data])
    end
  end

  describe "the order of their arguments" do
    it "is found out from what the running Ruby passes", :io_buffer do
      given = UM::HookOrder.ask.transform_values { |arguments| UM::HookOrder.names_of(arguments) }
      expect(given).to eq(io_read: [nil, nil, :length, :offset],
                          io_pread: [nil, nil, :from, :length, :offset])
    end

    it "may be another one in a coming Ruby" do
      outcome = ruby_program(<<~'RUBY')
        require "uringmachine"
        Warning[:experimental] = false
        # As if this Ruby passed them so.
        def (UM::HookOrder).ask = { io_read: [nil, nil, 3, 2], io_pread: [nil, nil, 3, 2, 1] }
        UM::HookOrder.learn
        Fiber.set_scheduler(UM::FiberScheduler.new)
        Fiber.schedule do
          buffer = IO::Buffer.new(8)
          file = File.open(__FILE__)
          reader, writer = IO.pipe
          writer.syswrite("abcdef")
          writer.close
          puts Fiber.scheduler.io_read(reader, buffer, 5, 4), buffer.get_string(5)
          puts Fiber.scheduler.io_pread(file, buffer, 2, 3, 8), buffer.get_string(2)
        end
      RUBY
      expect([outcome.stdout.lines(chomp: true), outcome.stderr])
        .to eq([%w[3 abc 6 "uring], ""])
    end

    it "is kept where the answer makes no sense" do
      learn = ->(*orders) { error_of { UM::FiberScheduler.__send__(:learn_order, *orders) }.class }
      expect([learn.call(nil, nil), learn.call([], []),
              learn.call([nil] * 4, [nil] * 5)]).to eq([ArgumentError] * 3)
    end
  end

  describe "io_wait" do
    it "gives the events that have come, of those asked for" do
      left, right = socket_pair
      all = IO::READABLE | IO::PRIORITY | IO::WRITABLE
      right.write("x")
      expect([hook(:io_wait, left, all, 5), hook(:io_wait, left, IO::READABLE, nil),
              hook(:io_wait, left, IO::WRITABLE, 0)])
        .to eq([IO::READABLE | IO::WRITABLE, IO::READABLE, IO::WRITABLE])
    end

    it "gives false past the time limit, in whichever kind of number" do
      left, = socket_pair
      expect([0, 0.001, Rational(1, 1000)].map do |limit|
               hook(:io_wait, left, IO::READABLE, limit)
             end).to eq([false] * 3)
    end

    it "waits by the time limit of the IO where none is given" do
      left, = socket_pair
      left.timeout = 0.001
      expect(hook(:io_wait, left, IO::READABLE, nil)).to be(false)
    end

    it "sees a stream that has ended as readable, and one that nobody reads as writable" do
      reader, writer = pipe
      other_reader, other_writer = pipe
      writer.close
      other_reader.close
      expect([hook(:io_wait, reader, IO::READABLE, 1), hook(:io_wait, other_writer, IO::WRITABLE, 1)])
        .to eq([IO::READABLE, IO::WRITABLE])
    end

    it "waits for an IO that exists for the call only" do
      left, right = socket_pair
      events, = in_fibers(
        -> { Fiber.scheduler.io_wait(IO.for_fd(left.fileno, autoclose: false), IO::READABLE, 5) },
        -> { 3.times { GC.start && sleep(0) } && right.write("x") }
      )
      expect(events).to eq(IO::READABLE)
    end

    it "refuses what are no events, and IOs that are closed" do
      left, = socket_pair
      closed = pipe.each(&:close).first
      errors = [[left, 1 << 20, 0], [left, nil, 0], [closed, 1, 0], [nil, 1, 0]].map do |arguments|
        in_fiber { error_of { Fiber.scheduler.io_wait(*arguments) }.class }
      end
      expect(errors).to eq([ArgumentError, TypeError, IOError, TypeError])
    end
  end

  describe "io_select" do
    it "takes one to four arguments" do
      left, right = socket_pair
      right.write("x")
      answers = [[[left]], [[left], [left]], [nil, [left], nil], [[], [], [], 0.001],
                 [nil, nil, nil, 0]].map do |lists|
        in_fiber { Fiber.scheduler.io_select(*lists)&.map(&:size) }
      end
      expect(answers).to eq([[1, 0, 0], [1, 1, 0], [0, 1, 0], nil, nil])
    end

    it "refuses none and five" do
      expect([[], [[], [], [], 0, 0]].map do |lists|
               in_fiber do
                 error_of do
                   Fiber.scheduler.io_select(*lists)
                 end
               end
             end)
        .to all(be_a(ArgumentError))
    end
  end

  describe "io_close" do
    it "has closed when it returns: the other side sees the end with its next operation" do
      left, right = socket_pair
      copy = left.dup.tap { |io| io.autoclose = false }
      left.close
      expect(in_fiber do
               [Fiber.scheduler.io_close(copy.fileno), right.read_nonblock(1, exception: false)]
             end).to eq([true, nil])
    end
  end

  describe "fiber_interrupt" do
    it "is kept for a fiber that is about to wait" do
      error = in_fiber do
        Fiber.scheduler.fiber_interrupt(Fiber.current, IOError.new("early"))
        error_of { sleep(60) }
      end
      expect(error).to be_a(IOError)
    end

    it "keeps apart two fibers on one IO" do
      left, right = socket_pair
      fibers = []
      results = in_fibers(
        Array.new(2) do
          lambda {
            (fibers << Fiber.current) && (error_of do
                                            left.wait_readable
                                          end&.message || :ready)
          }
        end,
        lambda {
          Fiber.scheduler.fiber_interrupt(fibers.first, IOError.new("out")).then do
            right.write("x")
          end && nil
        }
      )
      expect(results).to eq(["out", :ready, nil])
    end
  end

  describe "yield" do
    it "lets the others run" do
      order = []
      in_fibers(*%i[a b].map { |name| -> { 2.times { Fiber.scheduler.yield.then { order << name } } } })
      expect(order).to eq(%i[a b a b])
    end
  end

  describe "process_wait" do
    it "gives the status of one child, of any, and of any in a group" do
      one = spawn("exit 1")
      statuses = [hook(:process_wait, one, 0)]
      any = spawn("exit 2")
      statuses << hook(:process_wait, -1, 0)
      mine = spawn("exit 3")
      statuses << hook(:process_wait, 0, 0)
      group = spawn("exit 4", pgroup: true)
      statuses << hook(:process_wait, -group, 0)
      expect(statuses.map { |status| [status.class, status.pid, status.exitstatus] })
        .to eq([one, any, mine, group].zip(1..4).map { |pid, code| [Process::Status, pid, code] })
    end

    it "leaves $? alone: that is Ruby's part" do
      system("exit 5")
      expect(in_fiber do
               [Fiber.scheduler.process_wait(spawn("exit 6"), 0).exitstatus, $CHILD_STATUS&.exitstatus]
             end)
        .to eq([6, nil])
    end

    it "refuses what is no pid" do
      expect(in_fiber { error_of { Fiber.scheduler.process_wait("1", 0) } }).to be_a(TypeError)
    end
  end

  describe "timeout_after" do
    it "gives the block's value, and yields the duration" do
      expect(hook(:timeout_after, 5, Timeout::Error, "late") do |duration|
               [duration, :value]
             end).to eq([5, :value])
    end

    it "raises a class, or an object, with the message" do
      late = IOError.new("kept")
      errors = in_fiber do
        [[IOError, "late"], [late, nil], [late, "new"]].map do |arguments|
          error_of { Fiber.scheduler.timeout_after(0.001, *arguments) { sleep } }
        end
      end
      expect(errors.map do |error|
               [error.class, error.message]
             end).to eq([[IOError, "late"], [IOError, "kept"], [IOError, "new"]])
      expect(errors[1]).to be(late)
    end

    it "raises an exception that gives itself, as Timeout's own does" do
      unwinding = Class.new(Exception) { def exception(*) = self } # rubocop:disable Lint/InheritException
      given = unwinding.new
      error = in_fiber { error_of { Fiber.scheduler.timeout_after(0.001, given, "late") { sleep } } }
      expect(error).to be(given)
    end

    it "refuses what is no duration, and what can't be raised" do
      errors = [["1", IOError, "late"], [nil, IOError, "late"], [1, Object, "late"]].map do |arguments|
        in_fiber { error_of { Fiber.scheduler.timeout_after(*arguments) { :value } }.class }
      end
      expect(errors).to eq([TypeError, TypeError, NoMethodError])
    end
  end

  describe "address_resolve" do
    it "gives addresses as Strings, none for an unknown name" do
      expect(hook(:address_resolve, "localhost")).to all(match(/\A(127\.0\.0\.1|::1)\z/))
      expect(hook(:address_resolve, "nobody.invalid")).to eq([])
    end
  end

  describe "block and unblock" do
    it "have nothing to do with who blocks" do
      fiber = nil
      blocked, = in_fibers(
        -> { (fiber = Fiber.current) && Fiber.scheduler.block(:one) },
        -> { Fiber.scheduler.unblock(:another, fiber) }
      )
      expect(blocked).to be(true)
    end
  end
end
