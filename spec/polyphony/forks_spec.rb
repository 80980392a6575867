# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "processes under Polyphony" do
  def lines_of(text, timeout: 10)
    outcome = ruby_program("require \"polyphony\"\n$stdout.sync = true\n#{text}", timeout:)
    expect(outcome.stderr).to eq("")
    outcome.stdout.lines(chomp: true)
  end

  # The same from the main fiber and from a spun one.
  from = { "the main fiber" => "->(&body) { body.call }", "a fiber" => "->(&body) { spin(&body).await }" }

  from.each do |where, way|
    describe "a child forked by #{where}" do
      %w[Polyphony.fork fork].each do |method|
        it "has fibers of its own, and none of its parent's (#{method})" do
          expect(lines_of(<<~RUBY)).to eq(["[5, true]", "3", "parent's fiber"])
            PARENT = Process.pid
            spin { sleep 0.05; puts Process.pid == PARENT ? "parent's fiber" : "wrong" }.then do |sleeping|
              #{way}.call do
                pid = #{method} do
                  p [spin { sleep 0.001; 5 }.await, Polyphony.root_fiber == Fiber.current]
                  sleep 0.1
                  exit 3
                end
                p Process.wait2(pid).last.exitstatus
              end
              sleeping.await
            end
          RUBY
            .or eq(["[5, true]", "parent's fiber", "3"])
        end
      end

      it "ends its fibers with their ensure blocks, and runs at_exit handlers" do
        expect(lines_of(<<~RUBY)).to eq(%w[ensured child 0 parent])
          PARENT = Process.pid
          at_exit { puts Process.pid == PARENT ? "parent" : "child" }
          spin { begin; sleep; ensure; puts "parent's fiber" if Process.pid != PARENT; end }
          snooze
          #{way}.call do
            pid = fork do
              spin { begin; sleep; ensure; puts "ensured"; end }
              snooze
            end
            p Process.wait2(pid).last.exitstatus
          end
        RUBY
      end

      it "fails with what one of its fibers raises" do
        outcome = ruby_program(<<~RUBY)
          require "polyphony"
          #{way}.call do
            pid = Polyphony.fork { spin { raise "in the child" }; sleep }
            p Process.wait2(pid).last.exitstatus
          end
        RUBY
        expect([outcome.stdout, outcome.stderr]).to match(["1\n", /in the child \(RuntimeError\)/])
      end

      it "runs its handlers of signals in fibers" do
        expect(lines_of(<<~RUBY)).to eq(["handled", "0"])
          trap(:USR1) { Mutex.new.synchronize { sleep 0.001; puts "handled" }; exit 0 }
          #{way}.call do
            pid = fork { Process.kill(:USR1, Process.pid); sleep }
            p Process.wait2(pid).last.exitstatus
          end
        RUBY
      end

      it "is ended by ctrl-C in its main fiber while another one runs" do
        expect(lines_of(<<~RUBY)).to eq(["up", "interrupted", "7"])
          #{way}.call do
            reader, writer = IO.pipe
            pid = fork do
              spin { loop { snooze } }
              writer.puts "up"
              spin { sleep }.await
            rescue Interrupt
              puts "interrupted"
              exit 7
            end
            puts reader.gets
            Process.kill(:INT, pid)
            p Process.wait2(pid).last.exitstatus
          end
        RUBY
      end
    end

    describe "Polyphony.watch_process in #{where}" do
      it "gives the status of a command, of one with arguments, and of a block" do
        expect(lines_of(<<~RUBY)).to eq(["[3, 4, 5]", "5"])
          #{way}.call do
            p [Polyphony.watch_process("exit 3"), Polyphony.watch_process(["sh", "-c", "exit 4"]),
               Polyphony.watch_process { spin { exit 5 }.await }].map(&:exitstatus)
            p $?.exitstatus
          end
        RUBY
      end

      it "refuses nothing and both" do
        expect(lines_of(<<~RUBY)).to eq(["[ArgumentError, ArgumentError]"])
          #{way}.call do
            p [(Polyphony.watch_process rescue $!.class), (Polyphony.watch_process("true") { 1 } rescue $!.class)]
          end
        RUBY
      end

      it "lets others run, and ends the process when it is interrupted" do
        expect(lines_of(<<~RUBY)).to eq(["TERM", "true", "[]"])
          #{way}.call do
            turns = 0
            ticking = spin { loop { sleep 0.001; turns += 1 } }
            begin
              Polyphony.machine.timeout(0.1, RuntimeError) do
                Polyphony.watch_process('trap "echo TERM; exit" TERM; while :; do sleep 0.01; done')
              end
            rescue RuntimeError
              p turns.positive?
            end
            p((Process.waitall))
          end
        RUBY
      end
    end
  end

  it "kills a watched process that doesn't care for SIGTERM, and reaps it" do
    expect(lines_of(<<~RUBY)).to eq(["true", "[]"])
      Polyphony::Watched.send(:remove_const, :GRACE_SECONDS)
      Polyphony::Watched::GRACE_SECONDS = 0.1
      reader, writer = IO.pipe
      watching = spin { Polyphony.watch_process { trap(:TERM, "IGNORE"); writer.puts Process.pid; sleep } }
      pid = Integer(reader.gets)
      Polyphony.machine.schedule(watching, RuntimeError.new("enough"))
      begin
        watching.await
      rescue RuntimeError
        p((Process.kill(0, pid) rescue true))
        p Process.waitall
      end
    RUBY
  end

  it "kills a watched process at once when its fiber is interrupted a second time" do
    expect(lines_of(<<~RUBY)).to eq(["second", "[]"])
      Polyphony::Watched.send(:remove_const, :GRACE_SECONDS)
      Polyphony::Watched::GRACE_SECONDS = 100
      reader, writer = IO.pipe
      watching = spin { Polyphony.watch_process { trap(:TERM, "IGNORE"); writer.puts "up"; sleep } }
      reader.gets
      spin do
        %w[first second].each do |text|
          Polyphony.machine.schedule(watching, RuntimeError.new(text))
          sleep 0.02
        end
      end
      begin
        watching.await
      rescue RuntimeError => e
        puts e.message
        p Process.waitall
      end
    RUBY
  end

  it "ends a watched process with the program" do
    source = <<~RUBY
      require "polyphony"
      $stdout.sync = true
      reader, writer = IO.pipe
      writer.close_on_exec = false
      up = "echo >&\#{writer.fileno}"
      spin { Polyphony.watch_process("trap 'echo ended; exit' TERM; \#{up}; while :; do sleep 0.01; done") }
      reader.gets
      sleep 0.05 # it is watched only when spawn has returned
      puts "up"
      sleep
    RUBY
    spawn_ruby(source) do |running|
      running.kill(:INT)
      expect(running.wait(10)&.termsig).to eq(Signal.list["INT"]), running.report
      expect(running.stdout).to eq("up\nended\n")
    end
  end

  it "goes on after Process.daemon, with fibers and handlers of signals" do
    Dir.mktmpdir do |folder|
      ruby_program(<<~RUBY, File.join(folder, "out"))
        require "polyphony"
        trap(:USR1) { sleep 0.001; @handled = true }
        spin { sleep 0.001; File.write(ARGV.first, "wrong") }
        Process.daemon(true, true)
        lines = [spin { sleep 0.01; 5 }.await, `echo run`.chomp]
        Process.kill(:USR1, Process.pid)
        sleep 0.02
        spin { begin; sleep; ensure; lines << @handled << "ensured"; end }
        snooze
        at_exit { File.write(ARGV.first + ".new", lines.inspect); File.rename(ARGV.first + ".new", ARGV.first) }
      RUBY
      sleep 0.01 until File.exist?(File.join(folder, "out"))
      expect(File.read(File.join(folder, "out"))).to eq('[5, "run", true, "ensured"]')
    end
  end

  it "lets Process.detach's thread reap, and others run while it is joined" do
    expect(lines_of(<<~RUBY)).to eq(["[Process::Waiter, 3, true]"])
      turns = 0
      spin { loop { sleep 0.001; turns += 1 } }
      waiter = Process.detach(spawn("sleep 0.05; exit 3"))
      p [waiter.class, waiter.value.exitstatus, turns.positive?]
    RUBY
  end

  it "forks a hundred times without leaving anything behind" do
    expect(lines_of(<<~RUBY)).to eq(%w[true])
      before = Dir.children("/proc/self/fd").size
      spin { 100.times { |number| Process.wait(Polyphony.fork { exit!(0) }) } }.await
      p Dir.children("/proc/self/fd").size == before
    RUBY
  end

  it "refuses Polyphony.fork without a block" do
    expect(lines_of("p((Polyphony.fork rescue $!.class))")).to eq(%w[ArgumentError])
  end
end
