# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "modes" do
  include SpecSupport::MachineHelpers
  include SpecSupport::Subprocess

  let(:stop) { SpecSupport::MachineHelpers::Stop }

  # Past the machine.
  def write_outside(fd, bytes) = as_io(fd, "w").syswrite(bytes)

  # Waits until there are so many sidecars: a thread names itself once it runs.
  def expect_sidecars(count)
    threads = -> { Dir.glob("/proc/self/task/*/comm").count { |path| comm(path) == "um-sidecar\n" } }
    Thread.pass until threads.call == count
  end

  def comm(path)
    File.read(path)
  rescue Errno::ENOENT, Errno::ESRCH
    nil # it has ended
  end

  describe "test_mode" do
    def reading_fiber_after_snoozes
      reader, writer = pipe
      fiber = parked { machine.read(reader, +"", 1) }
      write_outside(writer, "x")
      machine.snooze
      yield if block_given?
      machine.snooze
      fiber.done?.tap { machine.join(fiber) }
    end

    it "takes completions in at every turn" do
      machine.test_mode = true
      runnable = nil
      done = reading_fiber_after_snoozes { runnable = machine.metrics[:ops_runqueue] }
      expect([runnable, done]).to eq([1, true])
    end

    it "is off unless it is switched on" do
      expect(reading_fiber_after_snoozes).to be_nil
      machine.test_mode = true
      machine.test_mode = false
      expect(reading_fiber_after_snoozes).to be_nil
    end
  end

  describe "profile_mode" do
    it "adds the times of running and waiting to the metrics" do
      expect([machine.profile_mode?, machine.metrics.keys.last]).to eq([false, :buffer_space_commited])
      machine.profile_mode = true
      machine.sleep(0.02)
      expect(machine.profile_mode?).to be(true)
      expect(machine.metrics.keys.last(2)).to eq(%i[time_total_cpu time_total_wait])
      expect(machine.metrics[:time_total_wait]).to be_a(Float).and be >= 0.01
      expect(machine.metrics[:time_total_cpu]).to be_a(Float).and be >= 0
      machine.profile_mode = false
      expect([machine.profile_mode?, machine.metrics.key?(:time_total_cpu)]).to eq([false, false])
    end
  end

  describe "sidecar" do
    it "is a thread that lives from start to stop" do
      GC.start
      expect_sidecars(0)
      expect(machine.sidecar_mode?).to be(false)
      expect([machine.sidecar_start, machine.sidecar_start]).to all(be(machine))
      expect_sidecars(1)
      expect(machine.sidecar_mode?).to be(true)
      expect([machine.sidecar_stop, machine.sidecar_stop]).to all(be(machine))
      expect_sidecars(0)
      expect(machine.sidecar_mode?).to be(false)
    end

    it "may come and go while fibers wait" do
      reader, writer = pipe
      fiber = parked { (+"").tap { |buffer| 3.times { machine.read(reader, buffer, 1, -1) } } }
      [machine.sidecar_start, machine.sidecar_stop, machine.sidecar_start].each do |own|
        own.sleep(0.001)
        write_outside(writer, "x")
        own.sleep(0.001)
      end
      expect(machine.join(fiber)).to eq("xxx")
    end
  end

  {
    "a sidecar" => { sidecar: true },
    "a kernel thread that submits" => { sqpoll: true },
    "a kernel thread that falls asleep at once" => { sqpoll: 0.001 },
    "both" => { sidecar: true, sqpoll: 0.001 },
    "a queue of one entry" => { size: 1 }
  }.each do |name, options|
    describe "a machine with #{name}" do
      let(:machine) { described_class.new(**options) }

      it "says so" do
        modes = { sidecar: machine.sidecar_mode?, sqpoll: machine.sqpoll_mode?, size: machine.size == 1 }
        expect(modes.select { |_, on| on }.keys).to match_array(options.keys)
      end

      it "carries out I/O and timers of many fibers" do
        fibers = Array.new(10) do |number|
          one, other = socketpair
          [
            machine.spin { receive_all(one) },
            machine.spin { send_all(other, 50, pause: number * 0.0001) },
            machine.spin { Array.new(5) { machine.timeout(0.001, :late) { machine.sleep(0) } }.uniq }
          ]
        end
        expect(soon { machine.join(fibers.flatten) }).to eq(["x" * 50, 50, [:late]] * 10)
      end

      # Also where the queue refuses an operation as long as it is full.
      def patiently
        yield
      rescue UM::Error
        machine.submit
        retry
      end

      def receive_all(fd)
        buffer = +""
        nil while patiently { machine.recv(fd, buffer, 100, 0) }.positive? && (all = "#{all}#{buffer}")
        all
      end

      def send_all(fd, count, pause:)
        count.times do |number|
          patiently { machine.send(fd, "x", -1, 0) }
          machine.sleep(pause) if pause.positive? && (number % 5).zero?
        end
        patiently { machine.shutdown(fd, Socket::SHUT_WR) }
        count
      end

      it "is woken by other threads, thousands of times" do
        there = UM::Queue.new
        back = UM::Queue.new
        thread = Thread.new do
          own = described_class.new
          1000.times { own.push(back, own.shift(there)) }
        end
        answers = Array.new(1000) { |number| machine.push(there, number) && machine.shift(back) }
        thread.join
        expect(answers).to eq((0...1000).to_a)
      end

      it "misses nothing that comes as a wait ends" do
        reader, writer = pipe
        thread = Thread.new { 300.times { write_outside(writer, "x") && sleep(0.0003) } }
        # A read that is interrupted may have its bytes all the same.
        buffer = +""
        machine.timeout(0.0003, :late) { machine.read(reader, buffer, 100, -1) } until buffer.size == 300
        expect([thread.join, buffer]).to eq([thread, "x" * 300])
      end

      it "lets fibers that only snooze starve nobody" do
        reader, writer = pipe
        machine.sleep(0.005) # a kernel thread that may fall asleep does
        done = false
        busy = Array.new(2) { machine.spin { machine.snooze until done } }
        reading = machine.spin { machine.read(reader, +"", 10).tap { done = true } }
        machine.snooze
        write_outside(writer, "hello")
        expect(soon { machine.join(reading, *busy) }.first).to eq(5)
      end

      it "reads from no other file than the one that was meant" do
        20.times do
          reader, writer = pipe
          fiber = machine.spin { machine.read(reader, +"", 10) }
          machine.snooze
          close(reader)
          next_reader, next_writer = pipe
          write_outside(next_writer, "secret")
          expect(machine.join(fiber)).to be_a(Errno::EBADF)
          expect(soon { machine.read(next_reader, +"", 10) }).to eq(6)
          [writer, next_reader, next_writer].each { |fd| close(fd) }
        end
      end

      it "can be interrupted by Timeout, Thread#raise and Thread#kill" do
        expect { Timeout.timeout(0.01) { machine.sleep(0) } }.to raise_error(Timeout::Error)
        [->(thread) { thread.raise(stop) }, lambda(&:kill)].each do |interrupt|
          ensured = false
          thread = Thread.new do
            Thread.current.report_on_exception = false
            described_class.new(**options).sleep(0)
          ensure
            ensured = true
          end
          Thread.pass until thread.stop?
          interrupt.call(thread)
          error_of { thread.join }
          expect([thread.alive?, ensured]).to eq([false, true])
        end
      end

      it "ends by ctrl-C, after a fork that it survives" do
        program = <<~RUBY
          require "uringmachine"
          $stdout.sync = true
          machine = UM.new(**#{options.inspect})
          reader, writer = UM.pipe
          fiber = machine.spin { machine.read(reader, +"", 10) }
          machine.sleep(0.001)
          pid = fork { exit!(UM.new(**#{options.inspect}).then { |own| own.join(own.spin { own.sleep(0.001) && 5 }) }) }
          status = Process.wait2(pid).last.exitstatus
          machine.write(writer, "hello")
          begin
            puts "ready: \#{machine.join(fiber) + status}"
            machine.join(machine.spin { machine.sleep(0) })
          rescue Interrupt
            exit machine.timeout(0.001, 7) { machine.sleep(0) }
          end
        RUBY
        spawn_ruby(program) do |running|
          expect(running.wait_for_line).to eq("ready: 10")
          sleep 0.02
          running.kill(:INT)
          expect(running.wait(10)&.exitstatus).to eq(7), running.report
        end
      end

      it "may be left to the garbage collector with fibers that wait" do
        reader, = pipe
        own = described_class.new(**options)
        own.spin { own.read(reader, +"", 10) }
        own.snooze
        own.spin { own.sleep(0) }
        expect(own.snooze).to be_nil
      end
    end
  end

  describe "a machine of up to 64 entries" do
    def fill(own, reader, count)
      fibers = Array.new(count) { own.spin { own.read(reader, +"", 1) } }
      own.snooze
      fibers
    end

    it "refuses an operation that doesn't fit, and takes it after a submit" do
      small = described_class.new(size: 1)
      reader, writer = pipe
      first, refused = fill(small, reader, 2)
      expect([first.done?, refused.result]).to match([nil, be_a(UM::Error)])
      expect([small.metrics[:total_ops], small.submit]).to eq([1, 1])
      second, = fill(small, reader, 1)
      small.submit
      small.write(writer, "xx")
      expect(small.join(first, second)).to eq([1, 1])
    end

    # What the call gives in a small machine whose queue is full.
    def in_a_full_machine(reader)
      small = described_class.new(size: 1)
      fill(small, reader, 1)
      calling = small.spin { yield small }
      small.timeout(10, Timeout::Error) { small.join(calling) }
    end

    it "has room for a call that needs several operations", :gc do
      small = described_class.new(size: 1)
      readers, writers = Array.new(5) { pipe }.transpose
      selecting = small.spin { small.select(readers, [], []) }
      small.snooze
      write_outside(writers.last, "x")
      expect(small.join(selecting)).to eq([[readers.last], [], []])
    end

    it "breaks off no call that may need several operations" do
      silent, = pipe
      fd, port = listener
      client(port)
      one, other = socketpair
      write_outside(other, "abc")
      from, to = pipe
      two = socketpair.tap { |_, peer| write_outside(peer, "xy") }
      results = [
        ->(small) { small.accept_each(fd) { |accepted| break keep(accepted) } },
        ->(small) { small.recv_each(one, 0) { |chunk| break chunk } },
        ->(small) { small.writev(to, "a", "bc") },
        ->(small) { small.splice(from, other, 3) },
        ->(small) { keep(small.tcp_connect("127.0.0.1", port)) },
        ->(small) { small.io(two.first).read(2) }
      ].map { |call| in_a_full_machine(silent, &call) }
      expect(results).to match([Integer, "abc", 3, 3, Integer, "xy"])
    end

    it "has room for as many as the kernel gives it" do
      reader, = pipe
      small = described_class.new(size: 13)
      results = fill(small, reader, 18).map(&:result)
      expect([results.first(16).compact, results.last(2)]).to match([[], [be_a(UM::Error), be_a(UM::Error)]])
    end

    it "goes on with timers, queues and interruptions while it is full" do
      reader, = pipe
      small = described_class.new(size: 1)
      reading, = fill(small, reader, 1)
      queue = UM::Queue.new
      waiting = small.spin { small.shift(queue) }
      small.push(queue, :item)
      expect([small.join(waiting), small.sleep(0.001)]).to eq([:item, 0.001])
      small.schedule(reading, stop.new)
      expect(small.join(reading)).to be_a(stop)
    end

    it "is larger than that submits when it is full" do
      reader, writer = pipe
      large = described_class.new(size: 65)
      fibers = fill(large, reader, 300)
      expect(fibers.map(&:done?).uniq).to eq([nil])
      large.write(writer, "x" * 300)
      expect(large.join(fibers).uniq).to eq([1])
    end
  end
end
