# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "the tree of fibers", :polyphony do
  let(:log) { [] }

  def for_ever = Polyphony.machine.yield

  # In the root fiber, core's would hold up the others.
  def pause(seconds) = Polyphony.machine.sleep(seconds)

  # RSpec has a matcher of this name.
  def receive = Kernel.instance_method(:receive).bind_call(self)

  def waiting(tag = nil) = spin(tag) { for_ever }.tap { snooze }

  describe "ending" do
    it "gives a value, by any name" do
      %i[stop interrupt kill move_on].each do |name|
        fiber = waiting
        expect(fiber.public_send(name, name)).to be(fiber)
        expect(fiber.await).to eq(name)
      end
    end

    it "leaves one alone that has ended" do
      fiber = spin { :value }
      fiber.await
      expect([fiber.stop(1), fiber.terminate, fiber.await]).to eq([nil, nil, :value])
    end

    it "never starts one that has not begun" do
      fibers = [spin { log << 1 }.stop(:never), spin { log << 2 }.terminate]
      expect(Fiber.await(fibers)).to eq([:never, nil])
      expect(fibers.map(&:state)).to eq(%i[dead dead])
      expect(log).to eq([])
    end

    it "of the running fiber is at once" do
      fiber = spin { Fiber.current.stop(:at_once) && (log << :went_on) }
      expect(fiber.await).to eq(:at_once)
      expect(log).to eq([])
    end

    it "asked for twice disturbs no ensure block" do
      fiber = spin do
        for_ever
      ensure
        sleep 0.001
        log << :ensured
      end
      snooze
      2.times { fiber.stop }
      fiber.await
      expect(log).to eq([:ensured])
    end

    it "of a parent leaves a child alone that is ending" do
      parent = spin do
        child = spin do
          for_ever
        ensure
          sleep 0.005
          log << :ensured
        end
        snooze
        child.stop
        snooze
      end
      parent.await
      expect(log).to eq([:ensured])
    end

    it "may be graceful, which children learn of" do
      parent = spin do
        spin do
          for_ever
        ensure
          log << Fiber.current.graceful_shutdown?
        end
        for_ever
      end
      2.times { snooze }
      parent.terminate(graceful: true)
      parent.await
      expect(log).to eq([true])
      expect(parent).to be_graceful_shutdown
    end

    it "by cancel fails whoever waits" do
      expect { waiting.cancel.await }.to raise_error(Polyphony::Cancel)
      expect { waiting.cancel(ArgumentError).await }.to raise_error(ArgumentError)
      expect { spin { log << 1 }.cancel.await }.to raise_error(Polyphony::Cancel)
      expect(log).to eq([])
    end
  end

  describe "raise" do
    it "takes what Kernel#raise takes, and doesn't wait" do
      raising = lambda do |*args|
        fiber = waiting
        expect(fiber.raise(*args)).to be(fiber)
        expect(fiber.state).to eq(:runnable)
        begin
          fiber.await
        rescue StandardError => e
          [e.class, e.message]
        end
      end
      expect(raising.call).to eq([RuntimeError, "unhandled exception"])
      expect(raising.call("text")).to eq([RuntimeError, "text"])
      expect(raising.call(ArgumentError)).to eq([ArgumentError, "ArgumentError"])
      expect(raising.call(ArgumentError, "text")).to eq([ArgumentError, "text"])
      expect(raising.call(ArgumentError.new("own"))).to eq([ArgumentError, "own"])
      expect { waiting.raise(1) }.to raise_error(TypeError)
    end

    it "knows where an exception came from" do
      fiber = waiting
      fiber.monitor.raise("text")
      error = Fiber.current.monitor_mailbox.shift.last
      expect([error.source_fiber, error.raising_fiber]).to eq([fiber, Fiber.current])
    end

    it "is core's for fibers that Polyphony doesn't know" do
      fiber = Fiber.new { Fiber.yield }
      fiber.resume
      expect { fiber.raise(ArgumentError, "now") }.to raise_error(ArgumentError, "now")
      expect(fiber.inspect).to match(/\A#<Fiber:0x/)
    end
  end

  describe "restart" do
    it "has a running fiber begin anew, with a new mailbox" do
      fiber = spin { |value| log << value << receive }
      fiber << :early
      fiber.mailbox
      snooze
      fiber = spin { |value| [value, receive] }
      snooze
      expect(fiber.restart(:again)).to be(fiber)
      fiber << :message
      expect(fiber.await).to eq(%i[again message])
    end

    it "gives a successor of one that has ended" do
      fiber = spin(:tag) { |value| value }
      expect(fiber.await).to be_nil
      successor = fiber.restart(5)
      expect(successor).not_to be(fiber)
      expect([successor.tag, successor.parent]).to eq([:tag, Fiber.current])
      expect(successor.location).to eq(fiber.location)
      expect(successor.await).to eq(5)
    end

    it "ends children first, and runs ensure blocks" do
      fiber = spin do |round|
        spin { for_ever.tap { log << :never } }
        round ? :done : for_ever
      ensure
        log << [:ensured, Fiber.current.children.size]
      end
      snooze
      fiber.restart(true)
      expect(fiber.await).to eq(:done)
      expect(log).to eq([[:ensured, 1], [:ensured, 1]])
    end

    it "doesn't hide a failure" do
      fiber = spin do
        spin { begin; for_ever; ensure; 3.times { snooze }; end }
        snooze
        raise "failed"
      end
      3.times { snooze }
      fiber.restart
      expect { fiber.await }.to raise_error("failed")
    end

    it "is not for the main fiber" do
      expect { Polyphony.main_fiber.restart }.to raise_error(FiberError)
    end
  end

  describe "messages" do
    it "come in order, whatever they are" do
      error = RuntimeError.new
      fiber = spin { Array.new(3) { receive } }
      fiber << 1 << nil << error
      expect(fiber.await).to eq([1, nil, error])
    end

    it "are taken by loops, and all at once" do
      fiber = spin { receive_loop { |message| log << message } }
      other = spin { snooze.then { receive_all_pending } }
      3.times { |number| (fiber << number) && (other << number) }
      expect(other.await).to eq([0, 1, 2])
      expect(log).to eq([0, 1, 2])
      expect(receive_all_pending).to eq([])
    end

    it "make senders wait where the mailbox has a limit" do
      fiber = spin { 4.times { (log << receive) && sleep(0.001) } }
      fiber.mailbox.cap(1)
      sender = spin { 4.times { |number| (fiber << number) && (log << [:sent, number]) } }
      Fiber.await(fiber, sender)
      expect(log.grep(Integer)).to eq([0, 1, 2, 3])
      expect(log.index([:sent, 3])).to be > log.index(2)
      expect { fiber.mailbox.cap(0) }.to raise_error(ArgumentError)
      expect { fiber.mailbox.cap("1") }.to raise_error(TypeError)
    end

    it "come from other threads" do
      fiber = spin { receive }
      Thread.new { fiber << :message }.join
      expect(fiber.await).to eq(:message)
    end
  end

  describe "monitors" do
    it "are told of ends, and get errors in the parent's place" do
      failing = spin { raise "failed" }
      ending = spin { :value }
      [failing, ending].each(&:monitor)
      told = Array.new(2) { Fiber.current.monitor_mailbox.shift }
      expect(told.map(&:first)).to eq([failing, ending])
      expect(told.map { |_, value| value.to_s }).to eq(%w[failed value])
    end

    it "may leave, or come late" do
      fiber = spin { :value }
      fiber.monitor
      expect(fiber.monitors).to eq([Fiber.current])
      fiber.unmonitor
      fiber.await
      expect(Fiber.current.monitor_mailbox).to be_empty
      fiber.monitor
      expect(Fiber.current.monitor_mailbox.shift).to eq([fiber, :value])
    end
  end

  describe "supervise" do
    it "restarts those that fail" do
      runs = 0
      supervisor = spin do
        spin { (runs += 1) < 3 ? raise("failed") : for_ever }
        supervise(restart: :on_error, on_error: ->(_, error) { log << error.message })
      end
      pause 0.005
      expect([runs, log, supervisor.children.size]).to eq([3, %w[failed failed], 1])
    end

    it "watches children that come later, and tells a block of every end" do
      supervisor = spin { supervise { |fiber, value| log << [fiber.tag, value] } }
      snooze
      supervisor.spin(:late) { :value }
      pause 0.002
      expect(log).to eq([%i[late value]])
    end

    it "refuses another restart" do
      expect { spin { supervise(restart: :never) }.await }.to raise_error(ArgumentError)
    end
  end

  describe "parents" do
    it "may be changed" do
      parent = waiting
      child = waiting
      expect(child.attach_to(parent)).to be(child)
      expect([parent.children, child.parent]).to eq([[child], parent])
      expect(child.detach.parent).to be(Polyphony.main_fiber)
      parent.attach_all_children_to(Polyphony.main_fiber)
      expect { parent.attach_to(parent) }.to raise_error(FiberError)
      expect { parent.attach_to(Fiber.new { 1 }) }.to raise_error(TypeError)
    end

    it "may be given from outside" do
      parent = waiting
      child = parent.spin(:child) { for_ever }
      expect([child.parent, parent.children]).to eq([parent, [child]])
      expect { spin { 1 }.tap(&:await).spin { 2 } }.to raise_error(FiberError)
    end

    it "are the main fiber, for what Polyphony doesn't know" do
      child = Fiber.new { spin { :value } }.resume
      expect(child.parent).to be(Polyphony.main_fiber)
      expect(child.await).to eq(:value)
    end

    it "wait for all children, or end them" do
      parent = spin do
        spin { snooze.then { log << :awaited } }
        Fiber.current.await_all_children
        3.times { spin { begin; for_ever; ensure; log << :ended; end } }
        snooze
        Fiber.current.shutdown_all_children
        log.size
      end
      expect(parent.await).to eq(4)
    end

    it "scope fibers" do
      value = spin_scope do
        spin { sleep(0.001).then { log << :child } }
        :value
      end
      expect([value, log]).to eq([:value, [:child]])
      expect { spin_scope { spin { raise "failed" } } }.to raise_error("failed")
    end
  end

  describe "state" do
    it "is known at each moment" do
      fiber = spin { (log << Fiber.current.state) && for_ever }
      states = [fiber.state, snooze || fiber.state, fiber.stop && fiber.state, fiber.await || fiber.state]
      expect(states + log).to eq(%i[runnable waiting runnable dead running])
    end

    it "is shown" do
      line = __LINE__ + 1
      fiber = spin(:name) { for_ever }
      expect(fiber.inspect).to match(/\A#<Fiber name:\d+ #{__FILE__}:#{line}:in .+ \(runnable\)>\z/)
      expect(Polyphony.main_fiber.inspect).to match(/\A#<Fiber main:\d+ \(root\) \(running\)>\z/)
      expect(fiber.caller.size).to eq(1)
      expect([fiber.main?, fiber.running?, fiber.result]).to eq([nil, true, nil])
      expect(fiber.thread).to be(Thread.current)
    end

    it "of all is printed" do
      spin(:outer) { spin(:inner) { sleep } && for_ever }
      2.times { snooze }
      expect(Polyphony.tree.lines.map { |line| line[/\A *\w+/] }).to eq(["main", "  outer", "    inner"])
      expect(Polyphony.tree).to include("waits: yield").and include("waits: block")
    end
  end

  it "selects the first, and the others go on" do
    slow = spin { sleep(0.003).then { :slow } }
    quick = spin { sleep(0.001).then { :quick } }
    expect(Fiber.select(slow, quick)).to eq([quick, :quick])
    expect(slow.await).to eq(:slow)
    expect { Fiber.select(spin { raise "failed" }, waiting) }.to raise_error("failed")
    expect(Fiber.select).to be_nil
  end

  it "loops until it is told to stop" do
    count = 0
    breaking = spin_loop do
      break :broken if (count += 1) == 3
    end
    expect(breaking.await).to eq(:broken)
    spin_loop { raise StopIteration if (count += 1) > 5 }.await
    spin_loop(interval: 0.0005) { raise StopIteration if (count += 1) > 8 }.await
    spin_loop(rate: 2000) { raise StopIteration if (count += 1) > 11 }.await
    expect(count).to eq(12)
    expect { spin_loop { raise "failed" }.await }.to raise_error("failed")
  end

  it "interjects into a wait, which goes on" do
    fiber = spin { sleep(0.003).then { :slept } }
    snooze
    fiber.interject { |one| log << one }
    expect(fiber.await).to eq(:slept)
    expect(log).to eq([fiber])
    failing = waiting
    failing.interject { raise "failed" }
    expect { failing.await }.to raise_error("failed")
  end

  it "suspends until scheduled, or until nothing is left" do
    fiber = spin { suspend }
    snooze
    fiber.schedule(:value)
    expect(fiber.await).to eq(:value)
    expect(suspend).to be_nil
  end

  it "gives a thread its own tree" do
    in_thread = Thread.new do
      ended = []
      spin { begin; for_ever; ensure; ended << :child; end }
      spin { [Fiber.current.parent.main?, ended] }.await
    end
    main, ended = in_thread.value
    expect([main, ended]).to eq([true, [:child]])
  end

  it "keeps an error that nobody got to wait for" do
    parent = spin do
      failing = spin { 2.times { snooze } && raise("failed") }
      awaiting = spin { failing.await }
      snooze
      awaiting.stop
      for_ever
    end
    expect { parent.await }.to raise_error("failed")
  end

  it "does all of it with the collector at work", :gc do
    fiber = spin(:tag) { |value| [value, spin { receive }.tap { |child| child << 1 }.await] }
    snooze
    expect(fiber.restart(2).await).to eq([2, 1])
    expect(fiber.restart(3).await).to eq([3, 1])
  end
end

RSpec.describe "programs that end" do
  def program(text) = "require 'polyphony'\n$stdout.sync = true\n#{text}"

  fiber = "spin { begin; puts :ready; sleep; ensure; sleep 0.01; puts :ensured; end }\n"

  { INT: "sleep", TERM: "spin { sleep }.await" }.each do |signal, waiting|
    it "end by SIG#{signal} as any Ruby program, after their fibers" do
      spawn_ruby(program(fiber + waiting)) do |running|
        running.kill(signal)
        status = running.wait(10)
        expect(status&.termsig).to eq(Signal.list[signal.to_s])
        expect(running.stdout).to eq("ready\nensured\n")
      end
    end
  end

  it "end as they would have where a connection is cut at the end" do
    cut = "spin { begin; sleep; ensure; raise Errno::EPIPE; end }\nsnooze\nexit 3"
    expect(ruby_program(program(cut)).status.exitstatus).to eq(3)
  end

  it "end by exit in a thread's only fiber, and by a failure at the end" do
    expect(ruby_program(program("spin { exit 7 }\nsuspend")).status.exitstatus).to eq(7)
    outcome = ruby_program(program("spin { begin; sleep; ensure; raise 'late'; end }\nsnooze"))
    expect(outcome.stderr).to include("late (RuntimeError)")
  end

  it "end by a second ctrl-C, however long their fibers take" do
    endless = "spin { begin; puts :ready; sleep; ensure; puts :ending; sleep; end }\nsleep"
    spawn_ruby(program(endless)) do |running|
      running.kill(:INT)
      running.wait_for_line(/ending/)
      running.kill(:INT)
      expect(running.wait(10)&.termsig).to eq(Signal.list["INT"])
    end
  end
end
