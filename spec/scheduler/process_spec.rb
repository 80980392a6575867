# frozen_string_literal: true

require "English"
require "open3"
require "rbconfig"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: processes" do
  # A shell that ends when a line comes.
  def waiting_shell(script = "exit 0", **)
    reader, writer = IO.pipe
    pid = spawn("read line; #{script}", in: reader, **)
    reader.close
    [pid, writer]
  end

  it "waits for a process, while others run" do
    pid, gate = waiting_shell("exit 3")
    status, turns = in_fibers(
      -> { Process.wait(pid).then { [$CHILD_STATUS.pid, $CHILD_STATUS.exitstatus] } },
      -> { Array.new(3) { sleep 0 }.size.tap { gate.puts } }
    )
    gate.close
    expect(status).to eq([pid, 3])
    expect(turns).to eq(3)
  end

  it "waits for processes that end in another order than they are awaited" do
    shells = Array.new(5) { |number| waiting_shell("exit #{number}") }
    *statuses, _ = in_fibers(
      *shells.map { |pid, _| -> { Process.wait2(pid).last.exitstatus } },
      -> { shells.reverse_each { |_, gate| sleep(0).then { gate.puts } } }
    )
    shells.each { |_, gate| gate.close }
    expect(statuses).to eq([0, 1, 2, 3, 4])
  end

  it "waits for any child" do
    pids = Array.new(3) { |number| spawn("exit #{number}") }
    found = in_fiber { Array.new(3) { Process.wait2(-1) } }
    expect(found.map(&:first)).to match_array(pids)
    expect(found.map { |_, status| status.exitstatus }).to contain_exactly(0, 1, 2)
  end

  it "waits for any child in several fibers, each child once" do
    shells = Array.new(3) { waiting_shell }
    *found, _ = in_fibers(
      Array.new(3) { -> { Process.wait } },
      -> { shells.each { |_, gate| sleep(0).then { gate.puts } } }
    )
    shells.each { |_, gate| gate.close }
    expect(found).to match_array(shells.map(&:first))
  end

  it "waits for any child of a process group" do
    other = spawn("exit 1")
    leader, gate = waiting_shell(pgroup: true)
    pid, = in_fibers(-> { Process.wait(-leader) }, -> { gate.puts })
    gate.close
    expect(pid).to eq(leader)
    expect(in_fiber { Process.wait(0) }).to eq(other)
  end

  it "does not wait with WNOHANG" do
    pid, gate = waiting_shell
    results = in_fiber do
      before = Process.wait(pid, Process::WNOHANG)
      gate.puts
      [before, Process.wait(pid)]
    end
    gate.close
    expect(results).to eq([nil, pid])
  end

  it "gives the status of a signal" do
    status = in_fiber do
      pid = spawn("kill -TERM $$")
      Process.wait(pid)
      $CHILD_STATUS
    end
    expect([status.signaled?, status.termsig, status.exitstatus]).to eq([true, Signal.list["TERM"], nil])
  end

  it "sees a child stop and go on" do
    pid, gate = waiting_shell
    stopped, ended = in_fiber do
      Process.kill(:STOP, pid)
      stopped = Process.wait2(pid, Process::WUNTRACED).last
      Process.kill(:CONT, pid)
      gate.puts
      [stopped, Process.wait2(pid).last]
    end
    gate.close
    expect([stopped.stopped?, stopped.stopsig]).to eq([true, Signal.list["STOP"]])
    expect(ended.exitstatus).to eq(0)
  end

  it "raises ECHILD without a child" do
    expect(in_fiber { [error_of { Process.wait }.class, error_of { Process.wait(Process.pid) }.class] })
      .to eq([Errno::ECHILD] * 2)
  end

  it "waits for a process that has ended already" do
    pid = spawn("exit 4")
    wait_until { File.read("/proc/#{pid}/stat").include?(") Z ") }
    expect(in_fiber { Process.wait2(pid).last.exitstatus }).to eq(4)
  end

  it "is interrupted, and the child can be waited for again" do
    pid, gate = waiting_shell("exit 5")
    fiber = nil
    results, = in_fibers(
      lambda {
        fiber = Fiber.current
        [error_of { Process.wait(pid) }.message, Process.wait2(pid).last.exitstatus]
      },
      -> { Fiber.scheduler.fiber_interrupt(fiber, RuntimeError.new("stop")).then { sleep(0) && gate.puts } }
    )
    gate.close
    expect(results).to eq(["stop", 5])
  end

  it "gives a status from Process::Status.wait" do
    status = in_fiber { Process::Status.wait(spawn("exit 6")) }
    expect([status.class, status.exitstatus]).to eq([Process::Status, 6])
  end

  it "keeps $? of each thread" do
    own = in_fiber { Process.wait(spawn("exit 7")) && $CHILD_STATUS.exitstatus }
    expect(own).to eq(7)
  end

  describe "system" do
    it "gives true, false or nil, and sets $?" do
      results = in_fiber do
        codes = ["exit 0", "exit 3"].map { |command| [system(command), $CHILD_STATUS.exitstatus] }
        codes << system("/nonexistent/program")
      end
      expect(results).to eq([[true, 0], [false, 3], nil])
    end

    it "raises with exception: true" do
      error = in_fiber { error_of { system("exit 3", exception: true) } }
      expect(error.message).to include("exit 3")
    end

    it "lets others run" do
      result, turns = beside_turns { system("sleep 0.1") }
      expect(result).to be(true)
      expect(turns).to be > 1
    end
  end

  describe "backticks" do
    it "give the output and set $?" do
      expect(in_fiber { [`printf abc; exit 2`, $CHILD_STATUS.exitstatus] }).to eq(["abc", 2])
    end

    it "give much output" do
      expect(in_fiber { `head -c 1000000 /dev/zero` }.bytesize).to eq(1_000_000)
    end

    it "let others run" do
      text, turns = beside_turns { `sleep 0.1; echo done` }
      expect(text).to eq("done\n")
      expect(turns).to be > 1
    end
  end

  describe "IO.popen" do
    it "reads and writes" do
      text = in_fiber do
        IO.popen("cat", "r+") do |cat|
          cat.puts("through cat")
          cat.close_write
          cat.read
        end
      end
      expect(text).to eq("through cat\n")
    end

    it "sets $? when it is closed" do
      status = in_fiber { IO.popen("exit 9").close.then { $CHILD_STATUS.exitstatus } }
      expect(status).to eq(9)
    end

    it "does fork with '-'" do
      output = ruby_program(<<~'RUBY')
        require "uringmachine"
        Fiber.set_scheduler(UM::FiberScheduler.new)
        Fiber.schedule do
          IO.popen("-") { |io| io ? puts("parent read #{io.read}") : print("child's text") }
        end
      RUBY
      expect([output.stdout, output.stderr]).to eq(["parent read child's text\n", ""])
    end

    it "runs many at a time" do
      texts = in_fibers(Array.new(20) { |number| -> { IO.popen(["echo", number.to_s], &:read) } })
      expect(texts).to eq((0...20).map { |number| "#{number}\n" })
    end
  end

  describe "Open3" do
    it "captures" do
      out, err, status = in_fiber { Open3.capture3("cat; echo problem >&2; exit 2", stdin_data: "input") }
      expect([out, err, status.exitstatus]).to eq(["input", "problem\n", 2])
    end

    it "does popen3 with more than the pipes hold" do
      data = "x" * 500_000
      size, status = in_fiber do
        Open3.popen3("cat") do |input, output, _, thread|
          writer = Fiber.schedule { input.write(data) && input.close }
          text = output.read
          [text.size, thread.value.success? && !writer.alive?]
        end
      end
      expect([size, status]).to eq([data.size, true])
    end

    it "does pipelines" do
      text = in_fiber { Open3.pipeline_r("printf 'b\\na\\n'", "sort") { |output, _| output.read } }
      expect(text).to eq("a\nb\n")
    end
  end

  it "raises TypeError where process_wait gives no status" do
    faulty = Class.new(UM::FiberScheduler) do
      def process_wait(pid, flags)
        Fiber.blocking { Process.wait(pid, flags) }
        false
      end
    end
    expect(in_fiber(scheduler: faulty) { error_of { system("true") } }).to be_a(TypeError)
  end
end
