# frozen_string_literal: true

require_relative "../support/async_programs"

# Programs of Async on our selector.
RSpec.describe "Async", skip: !SpecSupport::AsyncPrograms::AVAILABLE && "Async is not here" do
  include SpecSupport::AsyncPrograms

  it "runs tasks, timers and time limits" do
    value = in_async(<<~'RUBY')
      order = []
      sleeping = 3.downto(1).map { |i| task.async { sleep(i / 100.0); order << i } }
      late = task.async { task.with_timeout(0.005) { sleep 10 } rescue $!.class }
      task.yield
      sleeping.each(&:wait)
      [late.wait, order]
    RUBY
    expect(value).to eq("[Async::TimeoutError, [1, 2, 3]]")
  end

  it "runs barriers, semaphores, conditions and queues" do
    value = in_async(<<~'RUBY')
      barrier = Async::Barrier.new
      semaphore = Async::Semaphore.new(2, parent: barrier)
      running = most = 0
      6.times do
        semaphore.async do
          most = [most, running += 1].max
          sleep 0.001
          running -= 1
        end
      end
      barrier.wait
      queue = Async::Queue.new
      consumer = task.async { 3.times.map { queue.dequeue } }
      condition = Async::Condition.new
      waiter = task.async { condition.wait }
      3.times { |i| queue.enqueue(i) }
      condition.signal(:go)
      [most, consumer.wait, waiter.wait]
    RUBY
    expect(value).to eq("[2, [0, 1, 2], :go]")
  end

  it "echoes through sockets of 50 clients" do
    value = in_async(<<~'RUBY')
      server = TCPServer.new("127.0.0.1", 0)
      accepting = task.async do
        loop do
          client = server.accept
          task.async { while (line = client.gets) do client.write(line.upcase) end; client.close }
        end
      end
      clients = 50.times.map do |i|
        task.async do
          socket = TCPSocket.new("127.0.0.1", server.addr[1])
          answers = 20.times.map { |n| socket.puts("c#{i} #{n}"); socket.gets }
          socket.close
          answers == 20.times.map { |n| "C#{i} #{n}\n" }
        end
      end
      right = clients.map(&:wait)
      accepting.stop
      server.close
      right.tally
    RUBY
    expect(value).to eq({ true => 50 }.inspect)
  end

  it "moves megabytes between two tasks" do
    value = in_async(<<~'RUBY')
      text = Random.bytes(5_000_000)
      a, b = UNIXSocket.pair
      task.async { a.write(text); a.close }
      (b.read == text).tap { b.close }
    RUBY
    expect(value).to eq("true")
  end

  it "keeps the time limits of IOs" do
    value = in_async(<<~'RUBY')
      a, b = IO.pipe
      a.timeout = 0.005
      read = (a.read(1) rescue $!.class)
      waited = a.wait_readable(0.005)
      writable = b.wait_writable(1).equal?(b)
      [a, b].each(&:close)
      [read, waited, writable]
    RUBY
    expect(value).to eq("[IO::TimeoutError, nil, true]")
  end

  it "runs processes" do
    value = in_async(<<~'RUBY')
      statuses = 10.times.map { |i| task.async { system("exit #{i}"); $?.exitstatus } }
      output = task.async { `echo out` }
      any = task.async { Process.wait2(spawn("exit 7")).last.exitstatus }
      [statuses.map(&:wait), output.wait, any.wait]
    RUBY
    expect(value).to eq([[*0..9], "out\n", 7].inspect)
  end

  it "is woken by other threads" do
    value = in_async(<<~'RUBY')
      queue = Thread::Queue.new
      popping = task.async { 300.times.map { queue.pop } }
      4.times.map { |t| Thread.new { 75.times { |i| queue << t * 75 + i } } }
      joined = task.async { Thread.new { sleep 0.001; :thread }.value }
      [popping.wait.sort == [*0...300], joined.wait]
    RUBY
    expect(value).to eq("[true, :thread]")
  end

  it "stops tasks that wait for the kernel, a thousand times, and loses no bytes" do
    value = in_async(<<~'RUBY')
      reader, writer = IO.pipe
      1000.times do |i|
        waiting = task.async { i.even? ? reader.read(1) : reader.wait_readable }
        task.yield if (i % 3).zero?
        waiting.stop
      end
      200.times { task.with_timeout(0.00001) { reader.read(1) } rescue nil }
      writer << "kept"
      reader.read(4).tap { [reader, writer].each(&:close) }
    RUBY
    expect(value).to eq('"kept"')
  end

  it "switches in and out of enumerators that read" do
    value = in_async(<<~'RUBY')
      reader, writer = IO.pipe
      parts = Enumerator.new { |yielder| loop { yielder << reader.readpartial(3) } }
      task.async { writer << "abc"; sleep 0.001; writer << "def" }
      [parts.next, parts.next].tap { [reader, writer].each(&:close) }
    RUBY
    expect(value).to eq('["abc", "def"]')
  end

  it "ends by an interrupt, whether it waits or computes" do
    program = lambda do |body|
      async_program(<<~RUBY)
        begin
          Async { |task| #{body} }
        rescue Interrupt
          puts "interrupted"
        end
      RUBY
    end
    waiting = "Thread.new { sleep 0.05; Process.kill(:INT, Process.pid) }; IO.pipe.first.read(1)"
    computing = "task.async { sleep }; Process.kill(:INT, Process.pid); loop { sleep 0 }"
    expect([waiting, computing].map(&program)).to eq(["interrupted\n"] * 2)
  end

  it "gives its descriptors back, in many threads one after the other" do
    output = async_program(<<~'RUBY')
      Async {}
      before = Dir.children("/proc/self/fd").size
      50.times { 4.times.map { Thread.new { Async { sleep 0.001 } } }.each(&:join) }
      GC.start
      p Dir.children("/proc/self/fd").size - before
    RUBY
    expect(Integer(output)).to be < 12
  end

  it "is closed by the end of a thread, and works when it is passed to a scheduler" do
    output = async_program(<<~'RUBY')
      Thread.new do
        Fiber.set_scheduler(Async::Scheduler.new(selector: UM::Selector.new(Fiber.current)))
        Fiber.schedule { sleep 0.001; puts "scheduled" }
      end.join
    RUBY
    expect(output).to eq("scheduled\n")
  end

  it "passes io-event's own check of how selectors are used" do
    output = async_program(<<~'RUBY')
      ENV["IO_EVENT_DEBUG_SELECTOR"] = "1"
      Async do |task|
        reader, writer = IO.pipe
        task.async { writer << "checked"; writer.close }
        puts reader.read
        reader.close
        Process.wait(spawn("true"))
        sleep 0.001
      end
    RUBY
    expect(output).to eq("checked\n")
  end

  it "lets what we have natively wait, as under any other scheduler" do
    value = in_async(<<~'RUBY')
      (a, b), (c, d) = IO.pipe, IO.pipe
      task.async { sleep 0.001; b << "spliced"; b.close }
      task.async { IO.splice(a, d); d.close }
      c.read.tap { [a, c].each(&:close) }
    RUBY
    expect(value).to eq('"spliced"')
  end

  it "serves and asks by Async::HTTP" do
    output = async_program(<<~'RUBY')
      require "async/http/endpoint"
      require "async/http/server"
      require "async/http/client"
      Async do |task|
        free = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
        endpoint = Async::HTTP::Endpoint.parse("http://127.0.0.1:#{free}")
        server = Async::HTTP::Server.for(endpoint) do |request|
          Protocol::HTTP::Response[200, {}, [request.path, request.body&.join.to_s]]
        end
        serving = server.run
        client = Async::HTTP::Client.new(endpoint)
        answers = 20.times.map { |i| task.async { 5.times.map { |j| client.get("/#{i}/#{j}").read == "/#{i}/#{j}" } } }
        p answers.flat_map(&:wait).tally
        p client.post("/", {}, ["x" * 1_000_000]).read.bytesize
        client.close
        serving.stop
      end
    RUBY
    expect(output).to eq("#{{ true => 100 }.inspect}\n1000001\n")
  end
end
