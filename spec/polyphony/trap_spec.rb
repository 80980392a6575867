# frozen_string_literal: true

require_relative "../support/libraries"
require_relative "../support/polyphony"

# Handlers belong to a process, so each example is a program of its own.
RSpec.describe "trap under Polyphony" do
  # The lines of a program that may signal itself from a thread, a little later.
  def lines_of(text)
    outcome = ruby_program(<<~RUBY)
      require "polyphony"
      $stdout.sync = true
      PID = Process.pid
      def later(*signals) = Thread.new { signals.each { |signal| sleep 0.03; Process.kill(signal, PID) } }
      #{text}
    RUBY
    expect(outcome.stderr).to eq("")
    [*outcome.stdout.lines(chomp: true), *(outcome.status.exitstatus unless outcome.success?)]
  end

  it "lets a handler wait for what the fiber does that the signal has met" do
    expect(lines_of(<<~RUBY)).to eq(%w[data])
      reader, writer = IO.pipe
      trap(:USR1) { puts reader.readpartial(10) }
      spin { Process.kill(:USR1, PID); sleep 0.01; writer << "data" }.await
      sleep 0.02
    RUBY
  end

  it "lets a handler lock a Mutex, and use a Queue" do
    expect(lines_of(<<~RUBY)).to eq(["7"])
      queue = Queue.new
      trap(:USR1) { Mutex.new.synchronize { queue << 7 } }
      later(:USR1)
      p queue.pop
    RUBY
  end

  it "lets a handler log" do
    missing = SpecSupport::Libraries.missing("logger")
    skip(missing) if missing
    expect(lines_of(<<~RUBY)).to eq(["INFO: logged", "7"])
      require "logger"
      logger = Logger.new($stdout, formatter: ->(severity, _, _, text) { "\#{severity}: \#{text}\n" })
      queue = Queue.new
      trap(:USR1) { logger.info("logged"); queue << 7 }
      later(:USR1)
      p queue.pop
    RUBY
  end

  it "lets a handler spin fibers, which can do the same" do
    expect(lines_of(<<~RUBY)).to eq(%w[locked])
      mutex = Mutex.new
      done = Queue.new
      trap(:USR1) { spin { sleep 0.001; mutex.synchronize { puts "locked" }; done << 1 }.await }
      later(:USR1)
      done.pop
    RUBY
  end

  it "ends a handler's fibers with the handler, and the handler with the program" do
    expect(lines_of(<<~RUBY)).to eq(["child ended", "handler ended"])
      trap(:USR1) do
        spin { begin; sleep; ensure; puts "child ended"; end }
        begin; sleep; ensure; puts "handler ended"; end
      rescue Polyphony::BaseException
        nil
      end
      later(:USR1)
      sleep 0.06
    RUBY
      .or eq(["handler ended", "child ended"])
  end

  it "runs a handler at once, also when the program never waits" do
    expect(lines_of(<<~RUBY)).to eq(%w[stopped])
      stop = false
      trap(:USR1) { stop = true }
      later(:USR1)
      nil until stop
      puts "stopped"
    RUBY
  end

  it "gives the handler the signal's number" do
    expect(lines_of("trap(:USR1) { |number| p number }\nProcess.kill(:USR1, PID)\nsleep 0.01"))
      .to eq([Signal.list["USR1"].to_s])
  end

  describe "what a handler raises" do
    it "comes up where the signal has met the program, and tells so" do
      expect(lines_of(<<~'RUBY')).to eq(["failed", "true"])
        trap(:USR1) { raise "failed" }
        later(:USR1)
        begin
          loop { nil }
        rescue RuntimeError => e
          puts e.message
          p e.backtrace.any? { |line| line.start_with?("#{__FILE__}:#{__LINE__ - 3}:") }
        end
      RUBY
    end

    it "comes up in the main fiber when the handler has waited" do
      expect(lines_of(<<~RUBY)).to eq(%w[failed])
        trap(:USR1) { sleep 0.001; raise "failed" }
        later(:USR1)
        begin
          spin { sleep }.await
        rescue RuntimeError => e
          puts e.message
        end
      RUBY
    end

    ["exit 3", "sleep 0.001; exit 3"].each do |body|
      it "ends the program by #{body}, after its ensure blocks" do
        expect(lines_of(<<~RUBY)).to eq(["fiber", "root", 3]).or eq(["root", "fiber", 3])
          trap(:TERM) { #{body} }
          spin { begin; sleep; ensure; puts "fiber"; end }
          later(:TERM)
          begin; sleep; ensure; puts "root"; end
        RUBY
      end
    end
  end

  it "runs a hundred handlers that wait, each once" do
    expect(lines_of(<<~RUBY)).to eq(["true", "0"])
      count = ended = 0
      mutex = Mutex.new
      trap(:USR1) { count += 1; mutex.synchronize { sleep 0.0005 }; ended += 1 }
      Thread.new { 100.times { Process.kill(:USR1, PID); sleep 0.0002 } }.join
      sleep 0.001 until ended == count
      p count > 1, Polyphony.machine.fiber_set.size
    RUBY
  end

  it "runs handlers of several signals that come at once" do
    expect(lines_of(<<~RUBY)).to eq(%w[USR1 USR2])
      ran = Queue.new
      %w[USR1 USR2].each { |name| trap(name) { sleep 0.001; ran << name } }
      Process.kill(:USR1, PID)
      Process.kill(:USR2, PID)
      puts [ran.pop, ran.pop].sort
    RUBY
  end

  it "gives back the handlers that it was given" do
    expect(lines_of(<<~RUBY)).to eq(%w[DEFAULT true DEFAULT true true])
      handler = proc { nil }
      puts trap(:USR1, handler)
      p Signal.trap(:USR1, "DEFAULT").equal?(handler)
      puts Kernel.trap(:USR1, &handler)
      previous = trap(:USR1) { nil }
      p previous.equal?(handler)
      trap(:USR1, previous)
      p trap(:USR1, "IGNORE").equal?(handler)
    RUBY
  end

  it "takes and refuses what core takes and refuses" do
    program = <<~'RUBY'
      calls = [-> { trap }, -> { trap(:USR1) }, -> { trap(:KILL) { nil } }, -> { trap(:USR1, "EXIT") },
               -> { trap(:NONE) { nil } }, -> { 3.trap(:USR1) { nil } }, -> { trap(:EXIT) { puts "at exit" } },
               -> { trap(:USR1, nil) }, -> { trap(:USR1, "DEFAULT") }]
      calls.each { |call| p((call.call rescue $!.class)) }
    RUBY
    expect(lines_of(program)).to eq(ruby_program(program).stdout.lines(chomp: true))
  end

  it "leaves handlers as they are in a thread without a scheduler, and where the rule is left out" do
    program = <<~RUBY
      ENV["POLYPHONY_ROOT_FIBER"] = "0" if ARGV.first
      ARGV.first ? require("polyphony") : Thread.new { require "polyphony" }.join
      trap(:USR1) { begin; Mutex.new.lock; rescue ThreadError; puts "plain"; end }
      Process.kill(:USR1, $$)
      sleep 0.01
    RUBY
    expect([ruby_program(program), ruby_program(program, "out")].map(&:stdout)).to eq(%W[plain\n plain\n])
  end
end
