# frozen_string_literal: true

require "socket"
require "timeout"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: Timeout.timeout" do
  let!(:sockets) { UNIXSocket.pair }

  after { sockets.each(&:close) }

  def timed_out(*exception)
    reader, = sockets
    error_of { Timeout.timeout(0.005, *exception) { reader.readpartial(10) } }
  end

  it "gives the block's value" do
    expect(in_fiber { Timeout.timeout(10) { sleep(0) && :value } }).to eq(:value)
  end

  it "ends what waits" do
    reader, = sockets
    queue = Thread::Queue.new
    thread = Thread.new { sleep }
    errors = in_fiber do
      [-> { sleep }, -> { sleep(60) }, -> { reader.read(1) }, -> { reader.gets }, -> { reader.wait_readable },
       -> { IO.select([reader, reader]) }, -> { queue.pop }, -> { thread.join },
       -> { reader.recv(1) }].map { |body| error_of { Timeout.timeout(0.005) { body.call } } }
    end
    thread.kill.join
    expect(errors.map(&:class)).to eq([Timeout::Error] * 9)
  end

  it "ends waiting for a process, which can be waited for again" do
    reader, writer = IO.pipe
    pid = spawn("cat", in: reader)
    results = in_fiber do
      error = error_of { Timeout.timeout(0.005) { Process.wait(pid) } }
      writer.close
      [error.class, Process.wait2(pid).last.success?]
    end
    reader.close
    expect(results).to eq([Timeout::Error, true])
  end

  it "uses the hook, once per call" do
    expect(hooks_of { Timeout.timeout(1) { :nothing } }).to eq([:timeout_after])
  end

  it "raises the given class, with the given message" do
    errors = in_fiber { [timed_out, timed_out(ArgumentError), timed_out(IOError, "too slow")] }
    expect(errors.map(&:class)).to eq([Timeout::Error, ArgumentError, IOError])
    expect(errors.map(&:message)).to eq(["execution expired", "execution expired", "too slow"])
  end

  it "is nested: the first one to expire wins" do
    errors = in_fiber do
      inner = error_of { Timeout.timeout(60, IOError) { Timeout.timeout(0.005, EOFError) { sleep } } }
      outer = error_of { Timeout.timeout(0.005, IOError) { Timeout.timeout(60, EOFError) { sleep } } }
      [inner.class, outer.class, error_of { sleep(0.01) }]
    end
    expect(errors).to eq([EOFError, IOError, nil])
  end

  it "does not fire later" do
    error = in_fiber do
      100.times { Timeout.timeout(0.001) { :quick } }
      error_of { sleep(0.02) }
    end
    expect(error).to be_nil
  end

  it "does nothing with nil or 0" do
    values = in_fiber { [nil, 0].map { |limit| Timeout.timeout(limit) { sleep(0.001) && :ran } } }
    expect(values).to eq(%i[ran ran])
  end

  it "can be left by break, throw and exceptions" do
    results = in_fiber do
      left = Timeout.timeout(0.005) { break :broken }
      thrown = catch(:out) { Timeout.timeout(0.005) { throw :out, :thrown } }
      raised = error_of { Timeout.timeout(0.005) { raise "own" } }.message
      [left, thrown, raised, error_of { sleep(0.02) }]
    end
    expect(results).to eq([:broken, :thrown, "own", nil])
  end

  it "runs ensure blocks and can be rescued inside of the block" do
    log = in_fiber do
      log = []
      Timeout.timeout(0.005, IOError) do
        sleep
      rescue IOError
        log << :rescued
        sleep(0.02)
        log << :went_on
      ensure
        log << :ensured
      end
      log
    end
    expect(log).to eq(%i[rescued went_on ensured])
  end

  it "runs in many fibers at a time" do
    bodies = Array.new(100) do |number|
      -> { error_of { Timeout.timeout((number % 5 / 1000.0) + 0.001) { sleep } }.class }
    end
    values = in_fibers(bodies)
    expect(values).to eq([Timeout::Error] * 100)
  end

  it "works on the root fiber, where Ruby asks no hook" do
    value = nil
    scheduler_thread { value = Timeout.timeout(5) { :root } }.join
    expect(value).to eq(:root)
  end

  it "ends a compute-bound turn at the next wait" do
    error = in_fiber do
      error_of do
        Timeout.timeout(0.001) do
          started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
          nil while Process.clock_gettime(Process::CLOCK_MONOTONIC) - started < 0.005
          sleep(60)
        end
      end
    end
    expect(error).to be_a(Timeout::Error)
  end

  describe "and data" do
    it "loses none of what arrives later" do
      reader, writer = sockets
      results = in_fiber do
        early = timed_out.class
        writer.write("data")
        [early, reader.readpartial(10)]
      end
      expect(results).to eq([Timeout::Error, "data"])
    end

    # Both have happened by the time that the machine looks.
    it "loses none of what arrives together with the timeout" do
      reader, writer = sockets
      text, = in_fibers(
        lambda do
          Timeout.timeout(0.001) { reader.readpartial(10) }
        rescue Timeout::Error
          reader.readpartial(10)
        end,
        lambda do
          started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
          nil while Process.clock_gettime(Process::CLOCK_MONOTONIC) - started < 0.005
          writer.syswrite("data")
        end
      )
      expect(text).to eq("data")
    end

    it "loses none over hundreds of races, and keeps the order" do
      reader, writer = sockets
      sent = (0...300).map { |number| format("%04d", number) }.join
      producer = Thread.new do
        300.times do |number|
          writer.syswrite(format("%04d", number))
          sleep(0.0005)
        end
        writer.close_write
      end
      received = in_fiber do
        text = +""
        loop do
          text << Timeout.timeout(0.0005) { reader.readpartial(3) }
        rescue Timeout::Error
          next
        rescue EOFError
          break text
        end
      end
      producer.join
      expect(received).to eq(sent)
    end

    it "loses no line that arrives whole" do
      reader, writer = sockets
      producer = Thread.new do
        100.times do |number|
          writer.syswrite("line #{number}\n")
          sleep(0.0005)
        end
        writer.close_write
      end
      lines = in_fiber do
        lines = []
        loop do
          line = Timeout.timeout(0.0005) { reader.gets } or break lines
          lines << line
        rescue Timeout::Error
          next
        end
      end
      producer.join
      expect(lines).to eq((0...100).map { |number| "line #{number}\n" })
    end
  end
end
