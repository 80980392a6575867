# frozen_string_literal: true

require_relative "../support/machine_helpers"
require "uringmachine/actor"

RSpec.describe "UringMachine actors" do
  include SpecSupport::MachineHelpers

  def counter
    log = events
    Module.new do
      define_method(:setup) { |start = 0, step: 1| [@count = start, @step = step] }
      define_method(:add) { |times = 1| @count += @step * times }
      define_method(:fail) { raise ArgumentError, "no" }
      define_method(:thread) { Thread.current }
      define_method(:wait) { |its_machine| (its_machine || Thread.current.machine).sleep(60) }
      define_method(:nap) { |its_machine, time| (its_machine || Thread.current.machine).sleep(time) }
      define_method(:teardown) { log << :teardown }
    end
  end

  let(:events) { [] }
  let!(:mailbox) { UM::Queue.new }

  %i[spin_actor spin_thread_actor].each do |how|
    describe how do
      let!(:actor) { soon { machine.__send__(how, counter, 10, step: 2) } }

      after { actor.stop && settle }

      it "answers calls in order" do
        answers = soon { [actor.call(mailbox, :add), actor.call(mailbox, :add, 3)] }
        expect([answers, actor.class]).to eq([[12, 18], UM::Actor])
      end

      it "answers many fibers, each in a mailbox of its own" do
        calls = Array.new(20) { machine.spin { actor.call(Fiber.current.mailbox, :add) } }
        sums = soon { machine.join(calls) }
        expect(sums.sort).to eq((1..20).map { 10 + (_1 * 2) })
      end

      it "refuses a mailbox that is none, and goes on" do
        expect { actor.call(nil, :add) }.to raise_error(TypeError)
        expect(soon { actor.call(mailbox, :add) }).to eq(12)
      end

      it "gives no call the answer of one that was interrupted" do
        its_machine = machine if how == :spin_actor
        expect do
          machine.timeout(0.001, IOError) { actor.call(mailbox, :nap, its_machine, 0.01) }
        end.to raise_error(IOError)
        expect(soon { actor.call(mailbox, :add) }).to eq(12)
      end

      it "does casts without an answer" do
        answers = soon { [actor.cast(:add).equal?(actor), actor.call(mailbox, :add), mailbox.count] }
        expect(answers).to eq([true, 14, 0])
      end

      it "raises in the caller what a call raises, and goes on" do
        expect { soon { actor.call(mailbox, :fail) } }.to raise_error(ArgumentError, "no")
        expect(soon { actor.call(mailbox, :add) }).to eq(12)
      end

      it "runs where it should" do
        expect(soon { actor.call(mailbox, :thread) } == Thread.current).to be(how == :spin_actor)
      end

      it "ends by stop, with teardown, and refuses what comes later" do
        actor.stop
        soon { machine.join(actor) }
        expect([events, actor.result, actor.done?]).to eq([[:teardown], nil, true])
        expect { soon { actor.call(mailbox, :add) } }.to raise_error(UM::Error, /has ended/)
        expect { actor.cast(:add) }.to raise_error(UM::Error, /has ended/)
      end

      it "ends by what a cast raises" do
        actor.cast(:fail)
        expect(soon { machine.join(actor) }).to be_a(ArgumentError)
        expect(events).to eq([:teardown])
      end

      it "turns away callers whose call it has not answered when it ends" do
        its_machine = machine if how == :spin_actor
        call = -> { actor.call(Fiber.current.mailbox, :wait, its_machine) }
        calls = Array.new(3) { machine.spin { error_of(&call) } }
        machine.sleep(0.01)
        actor.stop
        errors = soon { machine.join(calls) }
        expect(errors.map(&:inspect).uniq).to eq(["#<UringMachine::Error: the actor has ended>"])
      end
    end
  end

  it "raises what setup raises" do
    failing = Module.new { def setup = raise(IOError, "no set-up") }
    expect { machine.spin_actor(failing) }.to raise_error(IOError, "no set-up")
    expect { soon { machine.spin_thread_actor(failing) } }.to raise_error(IOError, "no set-up")
  end

  it "ends the thread with its actor" do
    actor = soon { machine.spin_thread_actor(counter) }
    thread = soon { actor.call(mailbox, :thread) }
    actor.stop
    expect(thread.join(10)).to eq(thread)
  end
end
