# frozen_string_literal: true

require "stringio"
require_relative "../support/machine_helpers"

# Refused before anything is submitted.
RSpec.describe UM, "bad input" do
  include SpecSupport::MachineHelpers

  let(:ends) { pipe }
  let(:reader) { ends.first }
  let(:writer) { ends.last }
  let(:buffer) { +"before" }

  refusals = [TypeError, ArgumentError, RangeError, described_class::Error]

  define_method(:expect_refused) do |*errors, &call|
    errors = refusals if errors.empty?
    reader
    before = machine.metrics.values_at(:total_ops, :ops_pending, :ops_unsubmitted, :ops_runqueue)
    expect(error_of(&call)).to errors.map { |kind| be_a(kind) }.reduce(:or)
    expect(machine.metrics.values_at(:total_ops, :ops_pending, :ops_unsubmitted, :ops_runqueue)).to eq(before)
    expect(buffer << "!").to eq("before!")
    buffer.chop!
  end

  {
    "a descriptor" => ["0", nil, :stdin, 1.5, $stdin, Object.new, 2**40, 2**70, -2**70],
    "a length" => ["10", :ten, 1.5, -5, -2**40, 2**70, [], $stdin]
  }.each do |what, values|
    values.each do |value|
      it "such as #{value.inspect} for #{what} is refused" do
        calls = {
          "a descriptor" => [
            -> { machine.read(value, buffer, 10) }, -> { machine.write(value, "x") }, lambda {
                                                                                        machine.close(value)
                                                                                      },
            -> { machine.recv(value, buffer, 10, 0) }, -> { machine.send(value, "x", -1, 0) },
            -> { machine.accept(value) }, -> { machine.accept_each(value) { nil } },
            -> { machine.connect(value, "127.0.0.1", 80) }, -> { machine.bind(value, "127.0.0.1", 80) },
            -> { machine.listen(value, 1) }, -> { machine.shutdown(value, 0) }, -> { machine.poll(value, 1) },
            -> { machine.select([value], [], []) }, -> { machine.select([], [writer, value], []) },
            -> { machine.splice(value, writer, 1) }, -> { machine.splice(reader, value, 1) },
            -> { machine.tee(value, writer, 1) }, -> { machine.tee(reader, value, 1) }
          ],
          "a length" => [
            -> { machine.read(reader, buffer, value) }, -> { machine.write(writer, "x", value) },
            -> { machine.recv(reader, buffer, value, 0) }, -> { machine.send(writer, "x", value, 0) },
            -> { machine.splice(reader, writer, value) }, -> { machine.tee(reader, writer, value) }
          ]
        }
        calls.fetch(what).each { |call| expect_refused(&call) }
      end
    end
  end

  it "such as a length of -1 is refused where it doesn't mean all" do
    expect_refused { machine.read(reader, buffer, -1) }
    expect_refused { machine.recv(reader, buffer, -1, 0) }
    expect_refused { machine.splice(reader, writer, -1) }
    expect_refused { machine.tee(reader, writer, -1) }
  end

  [nil, :symbol, 42, [], StringIO.new, Object.new, $stdin].each do |value|
    it "such as #{value.inspect} for a buffer is refused with UM::Error" do
      expect_refused(described_class::Error) { machine.read(reader, value, 10) }
      expect_refused(described_class::Error) { machine.recv(reader, value, 10, 0) }
      expect_refused(described_class::Error) { machine.write(writer, value) }
      expect_refused(described_class::Error) { machine.send(writer, value, -1, 0) }
    end
  end

  describe "buffers that can't be written to" do
    it "such as a frozen String" do
      frozen = "frozen"
      expect_refused(FrozenError) { machine.read(reader, frozen, 10) }
      expect_refused(FrozenError) { machine.recv(reader, frozen, 10, 0) }
      expect(frozen).to eq("frozen")
    end

    it "such as a String that another read has" do
      other = +"other"
      parked { machine.read(reader, other, 10) }
      expect_refused(RuntimeError) { machine.read(reader, other, 10) }
      expect_refused(RuntimeError) { machine.recv(reader, other, 10, 0) }
    end

    it "such as an IO::Buffer that would have to grow under another read" do
      memory = IO::Buffer.new(10)
      parked { machine.read(reader, memory, 10) }
      expect_refused(IO::Buffer::LockedError) { machine.read(reader, memory, 20) }
    end

    it "such as a read-only IO::Buffer" do
      expect_refused(IO::Buffer::AccessError) { machine.read(reader, IO::Buffer.for("read-only"), 3) }
    end
  end

  it "such as a keyword that gives no String to inspect is refused" do
    odd = Class.new { def inspect = 5 }.new
    expect { described_class.new(odd => 1) }.to raise_error(ArgumentError, /unknown keyword/)
  end

  it "such as a Hash that gives no Array of keys is refused" do
    odd = Class.new(Hash) { def keys = 5 }
    expect { described_class.new(odd[size: 8]) }.to raise_error(TypeError, /keys/)
  end

  describe "offsets" do
    it "before the buffer's start are refused" do
      expect_refused(ArgumentError) { machine.read(reader, buffer, 10, -8) }
      expect_refused(ArgumentError) { machine.read(reader, IO::Buffer.new(3), 10, -5) }
    end

    it "beyond what memory holds are refused" do
      expect_refused { machine.read(reader, buffer, 10, 2**62) }
      expect_refused { machine.read(reader, buffer, 2**61, 2**40) }
    end

    it "of other types are refused" do
      ["1", 1.5, :x].each do |value|
        expect_refused { machine.read(reader, buffer, 10, value) }
        expect_refused { machine.read(reader, buffer, 10, 0, value) }
        expect_refused { machine.write(writer, "x", nil, value) }
      end
      expect_refused { machine.read(reader, buffer, 10, 0, -2) }
    end
  end

  it "such as a length beyond what the kernel moves at once is cut, or refused" do
    machine.write(writer, "hello")
    [2**31, (2**32) + 1].each do |length|
      begin
        machine.read(reader, buffer, length)
      rescue ArgumentError, NoMemoryError
        next
      end
      expect(buffer).to eq("hello")
      machine.write(writer, "hello")
    end
    expect([machine.write(writer, "x", 2**40), machine.splice(reader, pipe.last, 2**40)]).to eq([1, 6])
  end

  describe "paths" do
    it "with a NUL are refused" do
      expect_refused(ArgumentError) { machine.open("/dev/null\0.txt", File::RDONLY) }
    end

    it "and flags of other types are refused" do
      [nil, 42, :path, ["x"]].each { |value| expect_refused(TypeError) { machine.open(value, File::RDONLY) } }
      ["r", nil, 2**40].each { |value| expect_refused { machine.open(File::NULL, value) } }
    end

    it "may be of any bytes" do
      expect { machine.open("/no/such\xff/file", File::RDONLY) }.to raise_error(Errno::ENOENT)
      expect { machine.open("", File::RDONLY) }.to raise_error(Errno::ENOENT)
      expect { machine.open("x" * 5000, File::RDONLY) }.to raise_error(Errno::ENAMETOOLONG)
    end
  end

  describe "addresses" do
    it "of other types are refused" do
      fd = keep(machine.socket(Socket::AF_INET, Socket::SOCK_STREAM, 0, 0))
      [[1, 80], [nil, 80], [:localhost, 80], ["127.0.0.1", :http], ["127.0.0.1", "80"],
       ["127.0.0.1", nil]].each do |pair|
        expect_refused(TypeError) { machine.connect(fd, *pair) }
        expect_refused(TypeError) { machine.bind(fd, *pair) }
      end
    end

    it "with ports that don't exist are refused" do
      fd = keep(machine.socket(Socket::AF_INET, Socket::SOCK_STREAM, 0, 0))
      [-1, 65_536, 2**40].each { |port| expect_refused { machine.connect(fd, "127.0.0.1", port) } }
    end
  end

  describe "times" do
    it "that are no numbers are refused" do
      ["1", :one, [], Object.new].each do |value|
        expect_refused(TypeError) { machine.sleep(value) }
        expect_refused(TypeError) { machine.timeout(value, RuntimeError) { raise "called" } }
        expect_refused(TypeError) { machine.periodically(value) { raise "called" } }
      end
      expect_refused { machine.timeout(nil, RuntimeError) { raise "called" } }
      expect_refused { machine.periodically(nil) { raise "called" } }
    end

    it "that make no interval are refused" do
      [0, -1, Float::NAN].each do |value|
        expect_refused(ArgumentError) do
          machine.periodically(value) do
            raise "called"
          end
        end
      end
    end
  end

  describe "fibers" do
    it "that are none are refused" do
      [nil, 42, "fiber", Thread.current].each do |value|
        expect_refused(TypeError) { machine.schedule(value, 1) }
        expect_refused(TypeError) { machine.terminate(value) }
        expect_refused(TypeError) { machine.join(value) }
        expect_refused(TypeError) { machine.await(value) }
        expect_refused(TypeError) { machine.await_any(value) }
        expect_refused(TypeError) { machine.run(value) { nil } }
      end
    end

    it "that are none among others are refused" do
      expect_refused(TypeError) { machine.join(Fiber.current, 42) }
      expect_refused(TypeError) { machine.join([nil]) }
      expect_refused(TypeError) { machine.terminate([42]) }
    end

    it "of a class that has no fibers are refused" do
      [String, Object, Class, Comparable, 42, "Fiber"].each do |value|
        expect_refused(TypeError) { machine.spin(nil, value) { nil } }
      end
      expect(machine.fiber_set).to be_empty
    end

    it "of a class whose fibers can't be made raise what making them does" do
      picky = Class.new(Fiber) { def initialize(_needed) = super() }
      expect_refused(ArgumentError) { machine.spin(nil, picky) { nil } }
      expect(machine.fiber_set).to be_empty
    end

    it "that were never initialized disturb nobody" do
      begin
        machine.schedule(Fiber.allocate, RuntimeError.new("boo"))
        machine.terminate(Fiber.allocate)
      rescue TypeError, ArgumentError, FiberError, described_class::Error
        nil
      end
      expect([machine.snooze, machine.sleep(0.001)]).to eq([nil, 0.001])
    end

    it "of another thread disturb nobody" do
      fiber = Thread.new { Fiber.new { nil } }.value
      begin
        machine.schedule(fiber, RuntimeError.new("boo"))
      rescue TypeError, ArgumentError, FiberError, described_class::Error
        nil
      end
      expect([machine.snooze, machine.sleep(0.001)]).to eq([nil, 0.001])
    end

    it "need a block" do
      expect_refused(ArgumentError, LocalJumpError) { machine.spin }
      expect_refused(LocalJumpError, ArgumentError) { machine.timeout(1, RuntimeError) }
      expect_refused(LocalJumpError, ArgumentError) { machine.periodically(1) }
      expect_refused(LocalJumpError, ArgumentError) { machine.accept_each(reader) }
      expect_refused(LocalJumpError, ArgumentError) { machine.run(Fiber.current) }
    end
  end

  describe "numbers of arguments" do
    it "that are wrong are refused" do
      expect_refused(ArgumentError) { machine.read(reader) }
      expect_refused(ArgumentError) { machine.read(reader, buffer, 1, 0, -1, 5) }
      expect_refused(ArgumentError) { machine.write(writer) }
      expect_refused(ArgumentError) { machine.sleep }
      expect_refused(ArgumentError) { machine.spin(1, Fiber, 3) { nil } }
      expect_refused(ArgumentError) { machine.select([], []) }
      expect_refused(ArgumentError) { machine.socket(1) }
    end
  end

  describe "lists for select" do
    it "that are none are refused" do
      [nil, 1, "x", { 1 => 2 }].each { |value| expect_refused(TypeError) { machine.select(value, [], []) } }
    end
  end

  describe "machines" do
    it "with options that make no sense are refused" do
      [{ size: 0 }, { size: -1 }, { size: "x" }, { size: 1.5 }, { size: 2**40 }, { sqpoll: "x" },
       { sqpoll: -1 }, { unknown: 1 }].each do |options|
        expect_refused { described_class.new(**options) }
      end
      expect_refused(ArgumentError) { described_class.new(16) }
    end

    it "that were not initialized refuse everything" do
      bare = described_class.allocate
      calls = [
        -> { bare.sleep(1) }, -> { bare.spin { nil } }, -> { bare.snooze }, -> { bare.yield },
        -> { bare.join }, -> { bare.read(0, +"", 1) }, -> { bare.metrics }, -> { bare.size },
        -> { bare.wakeup }, -> { bare.submit }, -> { bare.schedule(Fiber.current, 1) },
        -> { bare.fiber_set }, -> { bare.pending_fibers }, -> { bare.dup.snooze },
        -> { bare.timeout(1, RuntimeError) { nil } }, -> { bare.sqpoll_mode? }
      ]
      calls.each { |call| expect(&call).to raise_error(described_class::Error) }
      expect(bare.inspect).to be_a(String)
    end

    it "can't be copied into something that works" do
      expect_refused { machine.dup.snooze }
      expect_refused { machine.clone.snooze }
      expect(machine.snooze).to be_nil
    end

    it "can't be initialized twice under their fibers" do
      fiber = parked { machine.read(reader, buffer, 10) }
      begin
        machine.__send__(:initialize, size: 7)
      rescue StandardError
        nil
      end
      machine.write(writer, "hello")
      expect([machine.join(fiber), machine.size]).to eq([5, 4096])
    end

    it "of a subclass work" do
      own = Class.new(described_class).new
      expect(own.join(own.spin { own.sleep(0.001) })).to eq(0.001)
    end
  end

  it "includes dumping a machine" do
    own = machine
    expect { Marshal.dump(own) }.to raise_error(TypeError)
  end

  it "such as a number that no descriptor has costs no memory" do
    outcome = ruby_program(<<~RUBY)
      require "uringmachine"
      machine = UM.new
      Process.setrlimit(:AS, 4 << 30)
      2.times do
        machine.read((2**31) - 1, +"", 1)
      rescue Errno::EBADF
        puts "EBADF"
      end
    RUBY
    expect([outcome.stdout, outcome.status.exitstatus]).to eq(["EBADF\n" * 2, 0]), outcome.inspect
  end
end
