# frozen_string_literal: true

require_relative "../support/scheduled"

# One Ractor at a time: those of Ruby 3.3 and 3.4 take the stacks of their fibers from one pool without
# a lock, and crash, with any gem and without.
RSpec.describe "UM::FiberScheduler: Ractors and threads that Ruby moves" do
  # What a Ractor's block gives, in a process of its own. `fibers` runs its arguments in fibers of a
  # thread of that Ractor.
  def in_ractor(block)
    outcome = ruby_program(<<~RUBY)
      Warning[:experimental] = false
      require "uringmachine"
      require "socket"
      require "timeout"
      require "zlib"

      class Ractor
        def self.fibers(*bodies, scheduler: UM::FiberScheduler.new)
          values = Array.new(bodies.size)
          Fiber.set_scheduler(scheduler)
          bodies.each_with_index { |body, index| Fiber.schedule { values[index] = body.call } }
          Fiber.set_scheduler(nil)
          values
        end
      end

      ractor = Ractor.new { #{block} }
      p(ractor.respond_to?(:value) ? ractor.value : ractor.take)
    RUBY
    [outcome.stdout.chomp, outcome.stderr]
  end

  describe "in a Ractor beside the main one" do
    {
      "sleeps" => ["Ractor.fibers(-> { sleep(0.01) && 1 }, -> { sleep(0) && 2 })", [1, 2]],
      "reads and writes" => ["input, output = IO.pipe
                              Ractor.fibers(-> { input.read },
                                            -> { output.write('hi').then { output.close } })",
                             ["hi", nil]],
      "reads files" => ["Ractor.fibers(-> { File.read('/proc/self/stat').to_i == Process.pid })", [true]],
      "accepts and connects" => ["server = TCPServer.new('127.0.0.1', 0)
                                  port = server.local_address.ip_port
                                  Ractor.fibers(-> { server.accept.then { |peer| peer.write(peer.gets) } },
                                                -> { TCPSocket.new('127.0.0.1', port).then { |peer|
                                                       peer.puts('line') || peer.gets } })",
                                 [5, "line\n"]],
      "resolves names" => ["Ractor.fibers(-> { Addrinfo.tcp('localhost', 80).ip_port })",
                           [80]],
      "waits for processes" => ["Ractor.fibers(-> { system('exit 3') || $?.exitstatus }, -> { `echo out` })",
                                [3, "out\n"]],
      "selects" => ["input, output = IO.pipe
                     Ractor.fibers(-> { IO.select([input]).map(&:size) }, -> { output.write('x') })",
                    [[1, 0, 0], 1]],
      "waits for queues and threads" => ["queue = Queue.new
                                          Ractor.fibers(-> { queue.pop },
                                                        -> { Thread.new { queue << 1 }.join.class.name })",
                                         [1, "Thread"]],
      "times out" => ["Ractor.fibers(-> { Timeout.timeout(0.01) { sleep } rescue $!.class.name })",
                      ["Timeout::Error"]],
      "raises" => ["Thread.current.report_on_exception = false
                    begin
                      Ractor.fibers(-> { raise 'from a fiber' })
                    rescue => error
                      error.message
                    end", "from a fiber"],
      "runs blocking operations" => ["scheduler = UM::FiberScheduler.new.enable_blocking_operations
                                      data = 'x' * 100_000
                                      Ractor.fibers(-> { Zlib.inflate(Zlib.deflate(data)).size },
                                                    scheduler:)",
                                     [100_000]],
      "has machines" => ["machine = UM.new
                          machine.join(machine.spin { machine.sleep(0.001).then { :spun } },
                                       machine.spin { 2 })",
                         [:spun, 2]],
      "has machines with pools, queues and streams" =>
        ["machine, queue, (input, output) = UM.new, UM::Queue.new, IO.pipe
          machine.spin { machine.push(queue, UM::IO.new(machine, input.fileno).read_line(100)) }
          output.puts('line')
          [machine.shift(queue), machine.resolve('127.0.0.1'), machine.pending.size]",
         ["line", ["127.0.0.1"], 0]]
    }.each do |what, (block, result)|
      it(what) { expect(in_ractor(block)).to eq([result.inspect, ""]) }
    end

    it "goes on beside the main Ractor's scheduler" do
      outcome = ruby_program(<<~'RUBY')
        Warning[:experimental] = false
        require "uringmachine"
        input, output = IO.pipe
        Ractor.new(output.fileno) do |descriptor|
          there = IO.for_fd(descriptor, autoclose: false)
          there.sync = true
          5.times { |number| there.puts(number) }
          there.puts(Fiber.scheduler.inspect)
        end
        Fiber.set_scheduler(UM::FiberScheduler.new)
        Fiber.schedule { 6.times { puts input.gets } }
      RUBY
      expect([outcome.stdout.split, outcome.stderr]).to eq([%w[0 1 2 3 4 nil], ""])
    end
  end

  # M:N threads.
  describe "with RUBY_MN_THREADS=1" do
    it "runs schedulers in many threads at a time" do
      outcome = ruby_program(<<~'RUBY', environment: { "RUBY_MN_THREADS" => "1" })
        require "uringmachine"
        texts = Array.new(16) do |number|
          Thread.new do
            input, output = IO.pipe
            text = nil
            Fiber.set_scheduler(UM::FiberScheduler.new)
            Fiber.schedule { text = input.read }
            Fiber.schedule { 10.times { sleep(0.0005).then { output.write(number % 10) } } && output.close }
            Fiber.set_scheduler(nil)
            text
          end
        end.map(&:value)
        puts texts.map(&:squeeze).join
      RUBY
      expect([outcome.stdout.chomp, outcome.stderr]).to eq(["0123456789012345", ""])
    end

    it "keeps a machine on its thread" do
      outcome = ruby_program(<<~'RUBY', environment: { "RUBY_MN_THREADS" => "1" })
        require "uringmachine"
        threads = Array.new(8) do
          Thread.new do
            machine = UM.new
            Array.new(20) do
              machine.sleep(0.0005)
              Thread.pass
              machine.join(machine.spin { 1 })
            end.sum
          end
        end
        puts threads.sum(&:value)
      RUBY
      expect([outcome.stdout.chomp, outcome.stderr]).to eq(["160", ""])
    end
  end
end
