# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "garbage collection" do
  include SpecSupport::MachineHelpers

  # Small enough to run with a collection at every allocation.
  describe "at any moment", :gc do
    it "leaves read and write alone" do
      reader, writer = pipe
      [10, 2000].each do |size|
        buffer = +""
        fiber = machine.spin { machine.read(reader, buffer, 4000) }
        machine.snooze
        machine.write(writer, "x" * size)
        expect([machine.join(fiber), buffer]).to eq([size, "x" * size])
      end
    end

    it "leaves recv and send alone" do
      one, other = socketpair
      fiber = machine.spin { (+"").tap { |buffer| machine.recv(one, buffer, 100, 0) } }
      machine.snooze
      machine.send(other, "hello", -1, 0)
      expect(machine.join(fiber)).to eq("hello")
    end

    it "leaves spin and join alone" do
      fibers = Array.new(5) { |number| machine.spin("v#{number}") { |value| machine.snooze || "#{value}!" } }
      expect(machine.join(fibers)).to eq(%w[v0! v1! v2! v3! v4!])
    end

    it "leaves procs that only an Enumerator holds alone" do
      procs = Enumerator.new { |yielder| 5.times { |number| yielder << proc { "v#{number}" } } }
      expect(machine.join(procs)).to eq(%w[v0 v1 v2 v3 v4])
    end

    it "leaves values on the runqueue alone" do
      fiber = machine.spin { machine.yield }
      machine.snooze
      machine.schedule(fiber, "a fresh #{fiber.class}")
      Array.new(20) { "garbage" * 10 }
      expect(machine.join(fiber)).to eq("a fresh Fiber")
    end

    it "leaves sleeps and timeouts alone" do
      late = ->(value) { machine.timeout(0.001, value) { machine.sleep(0) } }
      fibers = %w[v0 v1 v2].map { |value| machine.spin(value, &late) }
      expect(machine.join(fibers)).to eq(%w[v0 v1 v2])
    end

    it "leaves a cancelled read alone" do
      reader, writer = pipe
      buffer = +"before"
      fiber = machine.spin { machine.read(reader, buffer, 100, -1) }
      machine.snooze
      machine.schedule(fiber, RuntimeError.new("boo"))
      expect(machine.join(fiber).message).to eq("boo")
      machine.write(writer, "later")
      machine.read(reader, buffer, 100, -1)
      expect(buffer).to eq("beforelater")
    end

    it "leaves an open and its path alone" do
      path = file("hello")
      buffer = +""
      machine.open(path.dup, File::RDONLY) { |fd| machine.read(fd, buffer, 10) }
      expect(buffer).to eq("hello")
    end

    it "leaves an accept and a connect alone" do
      fd, port = listener
      fiber = machine.spin { keep(machine.accept(fd)) }
      own = keep(machine.socket(Socket::AF_INET, Socket::SOCK_STREAM, 0, 0))
      machine.connect(own, "127.0.0.1", port)
      expect(machine.join(fiber)).to be_an(Integer)
    end
  end

  def compact
    GC.start
    return unless GC.respond_to?(:verify_compaction_references)

    GC.compact
    GC.verify_compaction_references(expand_heap: true, toward: :empty)
  rescue NotImplementedError
    nil # no compaction on this platform
  end

  def garbage = Array.new(5000) { |number| [number.to_s * 3, Object.new] }.size

  describe "that moves objects" do
    it "leaves buffers in place that the kernel writes to" do
      buffers = Array.new(200) { |number| +"b#{number}" }
      ends = Array.new(200) { pipe }
      fibers = buffers.zip(ends).map { |buffer, (fd, _)| machine.spin { machine.read(fd, buffer, 15, -1) } }
      machine.snooze
      machine.submit
      garbage
      compact
      ends.each_with_index { |(_, writer), number| machine.write(writer, "-#{number}") }
      expect(machine.join(fibers)).to all(be > 0)
      expect(buffers).to eq(Array.new(200) { |number| "b#{number}-#{number}" })
    end

    it "leaves Strings in place that the kernel reads from" do
      ends = Array.new(50) { full_pipe }
      fibers = ends.each_with_index.map do |(_, writer), number|
        machine.spin { machine.write(writer, "#{number}:#{"x" * (number * 40)}") }
      end
      machine.snooze
      machine.submit
      garbage
      compact
      ends.each { |reader, _| machine.read(reader, +"", 65_536) }
      machine.join(fibers)
      received = ends.map { |reader, _| (+"").tap { |buffer| machine.read(reader, buffer, 10_000) } }
      expect(received).to eq(Array.new(50) { |number| "#{number}:#{"x" * (number * 40)}" })
    end

    it "leaves waiting fibers, timeouts and scheduled values alone" do
      waiting = Array.new(50) do |number|
        machine.spin { machine.timeout(0.01, "v#{number}") { machine.yield } }
      end
      scheduled = Array.new(50) { machine.spin { machine.yield } }
      machine.snooze
      scheduled.each_with_index { |fiber, number| machine.schedule(fiber, "s#{number}") }
      garbage
      compact
      expect(machine.join(scheduled)).to eq(Array.new(50) { |number| "s#{number}" })
      expect(machine.join(waiting)).to eq(Array.new(50) { |number| "v#{number}" })
    end

    # Some end before the collection, some after it, and nobody but the join knows them.
    def fresh_fibers
      Array.new(100) { |number| machine.spin { number.odd? ? machine.sleep(0.01) && number : number } }
    end

    %i[join await].each do |name|
      it "leaves the fibers of an Enumerable that #{name} waits for alone" do
        machine.spin { 3.times { machine.snooze } && garbage && compact }
        results = machine.public_send(name, fresh_fibers.each)
        expect(results).to eq(name == :join ? (0...100).to_a : 100)
      end
    end

    it "leaves the fibers that await_any waits for alone" do
      machine.spin { garbage && compact && machine.sleep(0.001) }
      fibers = Array.new(20) { |number| machine.spin { machine.sleep(number == 7 ? 0.01 : 10) && number } }
      expect(machine.await_any(fibers.each).result).to eq(7)
    end
  end

  describe "of machines" do
    def rings = Dir.children("/proc/self/fd").count { |fd| link(fd) == "anon_inode:[io_uring]" }

    def link(number)
      File.readlink("/proc/self/fd/#{number}")
    rescue Errno::ENOENT
      nil
    end

    # Away from this frame, so that no reference stays behind.
    def deeply(depth = 50, &block) = depth.zero? ? block.call && nil : deeply(depth - 1, &block)

    def busy_machine(reader)
      own = described_class.new
      own.spin { own.read(reader, +"0123456789", 100) }
      own.spin { own.timeout(1000, :late) { own.sleep(0) } }
      own.snooze
      own.submit
    end

    it "gives their descriptors back" do
      before = rings
      20.times do
        deeply { Array.new(10) { described_class.new } }
        deeply { GC.start }
      end
      expect(rings - before).to be < 20
    end

    it "survives that many are collected with ops in flight" do
      reader, writer = pipe
      before = rings
      10.times do
        deeply { Array.new(5) { busy_machine(reader) } }
        garbage
        deeply { GC.start }
      end
      machine.write(writer, "x" * 1000)
      garbage
      5.times { deeply { GC.start } }
      expect(rings - before).to be < 10
    end

    it "gives back those of threads that ended with ops in flight" do
      reader, = pipe
      before = rings
      20.times { Thread.new { deeply { busy_machine(reader) } }.join }
      3.times { deeply { GC.start } }
      expect(rings - before).to be < 10
    end

    # From 4.0 on Ruby looks at the frame that a fiber's native body was made in, long after it has
    # gone, when a Proc is made there.
    it "frees the frame that the first fibers were started in" do
      outcome = ruby_program(<<~'RUBY')
        require "uringmachine"
        Warning[:experimental] = false
        machine = UM.new

        def start(machine)
          kept = binding
          machine.spin { nil }
          machine.snooze
          kept.local_variables.size
        end

        def deep(levels, &body) = levels.zero? ? body.call : deep(levels - 1, &body)
        deep(50) { start(machine) }
        GC.start
        # Whatever takes the frame's memory then has no meaning for Ruby.
        buffers = Array.new(20_000) { IO::Buffer.new(40).clear(0x18) }
        2.times { machine.spin { nil } }
        puts machine.join(machine.spin { buffers.size })
      RUBY
      expect([outcome.stdout, outcome.stderr[0, 200]]).to eq(["20000\n", ""])
    end

    it "frees Strings that were lent once the reads are over" do
      reader, = pipe
      100.times { machine.timeout(0, :late) { machine.read(reader, +"", 100_000) } }
      expect(pending).to eq(0)
    end
  end
end
