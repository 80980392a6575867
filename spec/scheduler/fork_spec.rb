# frozen_string_literal: true

require "socket"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: fork" do
  def outcome_of(program)
    outcome = ruby_program("require 'uringmachine'\nFiber.set_scheduler(UM::FiberScheduler.new)\n#{program}")
    [outcome.stdout.lines.map(&:chomp), outcome.stderr, outcome.status.exitstatus]
  end

  it "lets the child work and the parent go on" do
    lines, stderr, status = outcome_of(<<~'RUBY')
      reader, writer = IO.pipe
      Fiber.schedule do
        pid = fork do
          sleep(0.001)
          writer.puts("from the child")
          text = `echo backticks`
          writer.puts(text)
          exit!(3)
        end
        writer.close
        puts reader.read
        puts Process.wait2(pid).last.exitstatus
      end
      Fiber.schedule { 5.times { sleep(0.001) }; puts "other" }
    RUBY
    expect(lines).to contain_exactly("from the child", "backticks", "3", "other")
    expect([stderr, status]).to eq(["", 0])
  end

  it "lets the child end by itself" do
    lines, stderr, status = outcome_of(<<~'RUBY')
      Fiber.schedule do
        pid = fork { puts "child" }
        puts "parent #{Process.wait2(pid).last.success?}"
      end
    RUBY
    expect([lines, stderr, status]).to eq([["child", "parent true"], "", 0])
  end

  it "lets the child set up a scheduler of its own" do
    lines, stderr, status = outcome_of(<<~'RUBY')
      Fiber.schedule do
        pid = fork do
          Thread.new do
            Fiber.set_scheduler(UM::FiberScheduler.new)
            3.times { |number| Fiber.schedule { sleep(number / 1000.0); puts "child #{number}" } }
          end.join
          $stdout.flush
          exit!(0)
        end
        puts "parent #{Process.wait2(pid).last.success?}"
      end
    RUBY
    expect([lines, stderr, status]).to eq([["child 0", "child 1", "child 2", "parent true"], "", 0])
  end

  it "lets the child use the scheduler that it inherits" do
    lines, stderr, status = outcome_of(<<~'RUBY')
      Fiber.schedule do
        pid = fork do
          reader, writer = IO.pipe
          Fiber.schedule { puts reader.gets } if Fiber.current_scheduler
          writer.puts("in the child")
          puts reader.gets unless Fiber.current_scheduler
          sleep(0.001)
          $stdout.flush
          exit!(0)
        end
        puts "parent #{Process.wait2(pid).last.success?}"
      end
    RUBY
    expect([lines, stderr, status]).to eq([["in the child", "parent true"], "", 0])
  end

  it "does not run the parent's other fibers in the child" do
    lines, stderr, status = outcome_of(<<~'RUBY')
      Fiber.schedule { sleep(0.02); puts "other in #{Process.pid == PARENT ? "parent" : "child"}" }
      PARENT = Process.pid
      Fiber.schedule do
        pid = fork { sleep(0.05); exit!(0) }
        Process.wait(pid)
      end
    RUBY
    expect([lines, stderr, status]).to eq([["other in parent"], "", 0])
  end

  it "leaves the parent's operations alone when the child ends" do
    lines, stderr, status = outcome_of(<<~'RUBY')
      reader, writer = IO.pipe
      Fiber.schedule { puts "read #{reader.gets}" }
      Fiber.schedule do
        3.times { Process.wait(fork { exit!(0) }) }
        3.times { Process.wait(fork { GC.start; GC.compact if GC.respond_to?(:compact) }) }
        writer.puts("by the parent")
      end
    RUBY
    expect([lines, stderr, status]).to eq([["read by the parent"], "", 0])
  end

  it "works from the root fiber while fibers wait" do
    lines, stderr, status = outcome_of(<<~'RUBY')
      Fiber.schedule { sleep(0.01); puts "fiber of #{Process.pid == PARENT}" }
      PARENT = Process.pid
      pid = fork { exit!(0) }
      puts "child #{Process.wait2(pid).last.success?}"
    RUBY
    expect([lines, stderr, status]).to eq([["child true", "fiber of true"], "", 0])
  end

  it "reaches its fork before Fiber.schedule returns, although it flushes" do
    lines, stderr, status = outcome_of(<<~'RUBY')
      print "buffered "
      pid = nil
      Fiber.schedule { pid = fork { exit!(0) } }
      puts pid.class
      Process.wait(pid)
    RUBY
    expect([lines, stderr, status]).to eq([["buffered Integer"], "", 0])
  end

  it "runs exec in the child" do
    text = in_fiber do
      IO.popen("-") { |io| io ? io.read : exec("echo", "executed") }
    end
    expect(text).to eq("executed\n")
  end

  it "serves connections by forked children" do
    lines, stderr, status = outcome_of(<<~'RUBY')
      require "socket"
      server = TCPServer.new("127.0.0.1", 0)
      port = server.local_address.ip_port
      Fiber.schedule do
        5.times do
          peer = server.accept
          pid = fork { peer.write(peer.gets.upcase); exit!(0) }
          peer.close
          Fiber.schedule { Process.wait(pid) }
        end
      end
      5.times do |number|
        Fiber.schedule do
          client = TCPSocket.new("127.0.0.1", port)
          client.puts("number #{number}")
          puts client.read
        end
      end
    RUBY
    expect(lines).to match_array((0...5).map { |number| "NUMBER #{number}" })
    expect([stderr, status]).to eq(["", 0])
  end
end
