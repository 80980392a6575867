# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "signals and exit" do
  include SpecSupport::Subprocess

  def program(source)
    <<~RUBY
      require "uringmachine"
      $stdout.sync = true
      machine = UM.new
      reader, writer = UM.pipe
      #{source}
    RUBY
  end

  # The program after a signal to it, which it gets once it has said "ready".
  def after_signal(source, *signals)
    spawn_ruby(program(source)) do |running|
      running.wait_for_line(/ready/)
      sleep 0.05 # until it really waits
      signals.each { |signal| running.kill(signal) }
      yield running, running.wait(10) || raise("it goes on: #{running.report}")
    end
  end

  shared_examples "a wait that signals reach" do |waiting|
    it "ends by Interrupt in the main fiber" do
      after_signal(<<~RUBY, :INT) do |running, status|
        begin
          puts "ready"
          #{waiting}
        rescue Interrupt
          puts "interrupted in \#{Fiber.current.blocking? ? "main" : "another"} fiber"
          machine.sleep(0.001)
          exit 7
        end
      RUBY
        expect(running.stdout).to end_with("interrupted in main fiber\n")
        expect(status.exitstatus).to eq(7)
      end
    end

    it "ends the program by SIGTERM" do
      after_signal(<<~RUBY, :TERM) do |running, status|
        puts "ready"
        begin
          #{waiting}
        ensure
          puts "ensured"
        end
      RUBY
        expect([running.stdout, status.termsig]).to eq(["ready\nensured\n", Signal.list["TERM"]])
      end
    end

    it "goes on after a trap handler" do
      after_signal(<<~RUBY, :USR1, :INT) do |running, status|
        trap(:USR1) { $stdout.syswrite("trapped\n") }
        begin
          puts "ready"
          #{waiting}
        rescue Interrupt
          exit 7
        end
      RUBY
        expect([running.stdout, status.exitstatus]).to eq(["ready\ntrapped\n", 7])
      end
    end
  end

  {
    "a sleep of the main fiber" => "machine.sleep(0)",
    "a read of the main fiber" => 'machine.read(reader, +"", 10)',
    "a splice of the main fiber" => "machine.splice(reader, UM.pipe.last, 10)",
    "a select of the main fiber" => "machine.select([reader], [], [])",
    "a periodic loop" => "machine.periodically(1000) { nil }",
    "a join of fibers that all wait" =>
      'machine.join(machine.spin { machine.read(reader, +"", 10) }, machine.spin { machine.sleep(0) })',
    "an Enumerator's next" => "Enumerator.new { |yielder| yielder << machine.sleep(0) }.next",
    "a join of a fiber that only snoozes" => "machine.join(machine.spin { loop { machine.snooze } })"
  }.each do |name, waiting|
    describe(name) { include_examples "a wait that signals reach", waiting }
  end

  it "reach the main fiber while a spun fiber computes" do
    after_signal(<<~RUBY, :INT) do |running, status|
      machine.spin { puts("ready") || loop { nil } }
      begin
        machine.sleep(0)
      rescue Interrupt
        puts "interrupted"
        exit 7
      end
    RUBY
      expect([running.stdout, status.exitstatus]).to eq(["ready\ninterrupted\n", 7])
    end
  end

  it "end a program that doesn't care" do
    source = "puts 'ready'; machine.spin { machine.sleep(0) }; machine.sleep(0)"
    after_signal(source, :INT) do |running, status|
      expect(status.termsig).to eq(Signal.list["INT"])
      expect(running.stderr).to include("Interrupt")
    end
  end

  it "let a trap handler schedule a fiber" do
    after_signal(<<~RUBY, :USR1) do |running, status|
      fiber = machine.spin { machine.yield }
      trap(:USR1) { machine.schedule(fiber, 7) }
      puts "ready"
      exit machine.join(fiber)
    RUBY
      expect([running.stderr, status.exitstatus]).to eq(["", 7])
    end
  end

  it "let a trap handler raise in what waits" do
    after_signal(<<~RUBY, :USR1) do |running, status|
      trap(:USR1) { raise "from the handler" }
      begin
        puts "ready"
        machine.read(reader, +"", 10)
      rescue RuntimeError => e
        puts e.message
        exit 7
      end
    RUBY
      expect([running.stdout, status.exitstatus]).to eq(["ready\nfrom the handler\n", 7])
    end
  end

  it "let a trap handler use the machine while the wait that it interrupted comes to its end" do
    after_signal(<<~RUBY, :USR1) do |running, status|
      trap(:USR1) { machine.write(writer, "x") && machine.sleep(0.01) }
      puts "ready"
      exit machine.read(reader, +"", 10)
    RUBY
      expect([running.stderr, status.exitstatus]).to eq(["", 1])
    end
  end

  it "may come by the hundred" do
    after_signal(<<~RUBY, *([:USR1] * 200), :TERM) do |running, _status|
      count = 0
      trap(:USR1) { count += 1 }
      trap(:TERM) { raise SignalException, "TERM" }
      begin
        puts "ready"
        machine.join(Array.new(10) { machine.spin { machine.sleep(0) } })
      ensure
        puts count
      end
    RUBY
      expect(Integer(running.stdout.lines.last)).to be_between(1, 200)
    end
  end

  describe "exit in a spun fiber" do
    def expect_status(status, source)
      outcome = ruby_program(program(source))
      expect([outcome.status.exitstatus, outcome.stderr]).to eq([status, ""]), outcome.inspect
      outcome
    end

    it "ends the program while the main fiber sleeps" do
      expect_status(3, "machine.spin { exit 3 }; machine.sleep(0)")
    end

    it "ends the program while the main fiber reads" do
      expect_status(3, 'machine.spin { machine.sleep(0.01); exit 3 }; machine.read(reader, +"", 10)')
    end

    it "ends the program while the main fiber joins it" do
      expect_status(3, "machine.join(machine.spin { exit 3 }); puts 'went on'")
    end

    it "ends the program when the main fiber has nothing to wait for any more" do
      expect_status(3, <<~RUBY)
        fiber = machine.spin { machine.yield; exit 3 }
        machine.snooze
        machine.schedule(fiber, 1)
        machine.snooze
      RUBY
    end

    it "ends the program from a fiber of a fiber" do
      expect_status(3, "machine.join(machine.spin { machine.join(machine.spin { exit 3 }) })")
    end

    it "ends the program when the machine was made in a fiber that is gone" do
      expect_status(3, "Fiber.new { machine = UM.new }.resume; machine.spin { exit 3 }; machine.sleep(1)")
    end

    it "ends the program while the main fiber is in an Enumerator's next" do
      expect_status(3, "machine.spin { exit 3 }; Enumerator.new { |to| to << machine.sleep(1) }.next")
    end

    it "runs ensure blocks of the main fiber and at_exit handlers" do
      outcome = expect_status(3, <<~RUBY)
        at_exit { puts "at exit" }
        machine.spin { exit 3 }
        begin
          machine.sleep(0)
        ensure
          puts "ensured"
        end
      RUBY
      expect(outcome.stdout).to eq("ensured\nat exit\n")
    end

    it "lets at_exit handlers use the machine" do
      outcome = expect_status(0, "at_exit { puts machine.join(machine.spin { machine.sleep(0.001) }) }")
      expect(outcome.stdout).to eq("0.001\n")
    end

    it "happens at once with exit!" do
      expect_status(4, "machine.spin { exit!(4) }; machine.sleep(0)")
    end

    it "happens with abort" do
      outcome = ruby_program(program("machine.spin { abort 'enough' }; machine.sleep(0)"))
      expect([outcome.status.exitstatus, outcome.stderr]).to eq([1, "enough\n"])
    end

    it "of another thread ends the program" do
      expect_status(5, "Thread.new { own = UM.new; own.spin { exit 5 }; own.sleep(0) }; machine.sleep(1)")
    end
  end
end
