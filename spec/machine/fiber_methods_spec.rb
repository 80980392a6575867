# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe Fiber, "with a machine" do
  include SpecSupport::MachineHelpers

  let(:queue) { UM::Queue.new }
  let(:stop) { SpecSupport::MachineHelpers::Stop }

  def items = Array.new(queue.count) { machine.shift(queue) }

  describe "#mailbox" do
    it "is one queue for each fiber" do
      fiber = machine.spin { machine.shift(described_class.current.mailbox) }
      expect(fiber.mailbox).to be_a(UM::Queue).and be(fiber.mailbox)
      expect(fiber.mailbox).not_to be(described_class.current.mailbox)
      machine.push(fiber.mailbox, "hello")
      expect(machine.join(fiber)).to eq("hello")
    end

    it "exists for any fiber, also one that has ended, and outlives it" do
      ended = machine.spin { nil }
      machine.join(ended)
      fibers = [ended, described_class.new { nil }, Thread.new { described_class.current }.value]
      fibers.each { |fiber| machine.push(fiber.mailbox, 1) }
      expect(fibers.map { |fiber| fiber.mailbox.count }).to eq([1, 1, 1])
    end

    it "takes messages from other threads" do
      mailbox = described_class.current.mailbox
      Thread.new { UM.new.push(mailbox, :message) }
      expect(machine.shift(mailbox)).to eq(:message)
    end

    it "can't be had of a frozen fiber that has none" do
      expect { described_class.new { nil }.freeze.mailbox }.to raise_error(FrozenError)
    end
  end

  describe "#add_done_listener" do
    it "gives the fiber to the queue when it ends, by a value or by an exception" do
      fibers = [machine.spin { 1 }, machine.spin { raise stop }, parked { machine.sleep(0) }]
      fibers.each { |fiber| expect(fiber.add_done_listener(queue)).to be(fiber) }
      machine.terminate(fibers.last)
      expect(Array.new(3) { machine.shift(queue) }).to match_array(fibers)
      expect(fibers.map(&:done?)).to all(be(true))
    end

    it "wakes a fiber that waits in the queue, with the result already there" do
      waiting = parked { machine.shift(queue).result }
      machine.spin { :result }.add_done_listener(queue)
      expect(machine.join(waiting)).to eq(:result)
    end

    it "gives it at once when it has ended" do
      fiber = machine.spin { nil }
      machine.join(fiber)
      fiber.add_done_listener(queue)
      expect(items).to eq([fiber])
    end

    it "gives it to each queue, as often as that was added" do
      fiber = machine.spin { nil }
      2.times { fiber.add_done_listener(queue) }
      fiber.add_done_listener(fiber.mailbox)
      machine.join(fiber)
      expect([items, fiber.mailbox.count]).to eq([[fiber, fiber], 1])
    end

    it "reaches a queue that another thread waits in" do
      listener = queue
      thread = Thread.new { UM.new.shift(listener) }
      fiber = machine.spin { nil }.add_done_listener(queue)
      machine.join(fiber)
      expect(thread.value).to be(fiber)
    end

    it "is called in a fiber that is killed", skip: !described_class.method_defined?(:kill) do
      fiber = parked { machine.sleep(0) }.add_done_listener(queue)
      fiber.kill
      expect(items).to eq([fiber])
    end

    it "takes queues only" do
      fiber = machine.spin { nil }
      [nil, 1, Queue.new, UM::Mutex.new].each do |other|
        expect { fiber.add_done_listener(other) }.to raise_error(TypeError)
      end
      expect { fiber.add_done_listener(UM::Queue.allocate) }.to raise_error(UM::Error)
      expect(fiber.done_listeners).to eq([])
    end
  end

  describe "#done_listeners" do
    it "are the queues that are still to get the fiber" do
      fiber = machine.spin { nil }
      expect(fiber.done_listeners).to eq([])
      fiber.add_done_listener(queue)
      expect(fiber.done_listeners).to eq([queue])
      fiber.done_listeners.clear
      machine.join(fiber)
      expect([fiber.done_listeners, items]).to eq([[], [fiber]])
    end

    it "are none of a fiber that was not spun" do
      expect(described_class.current.done_listeners).to eq([])
    end
  end

  describe "#mark_as_done and #set_result" do
    # A fiber that no machine has spun, and that ends by switching away.
    def raw(&body)
      described_class.new do
        fiber = described_class.current
        fiber.set_result(body.call)
        fiber.mark_as_done
        machine.switch
      end
    end

    it "let others wait for a fiber that was not spun" do
      fiber = raw { machine.sleep(0.001) && "result" }
      fiber.add_done_listener(queue)
      expect([fiber.done?, fiber.result]).to eq([nil, nil])
      machine.schedule(fiber, nil)
      expect([machine.join(fiber), machine.shift(queue), fiber.done?]).to eq(["result", fiber, true])
    end

    it "give the fiber back" do
      fiber = described_class.new { nil }
      expect([fiber.set_result(1), fiber.mark_as_done, fiber.result]).to eq([fiber, fiber, 1])
    end

    it "let the others go on before a spun fiber has ended" do
      fiber = machine.spin do
        described_class.current.set_result(:early).mark_as_done
        machine.yield
      end
      expect(machine.join(fiber)).to eq(:early)
      machine.schedule(fiber, :late)
      snooze
      expect([fiber.result, fiber.alive?]).to eq([:late, false])
    end

    it "may come before a spun fiber has run" do
      fiber = machine.spin { :ran }
      fiber.mark_as_done
      expect(machine.join(fiber)).to be_nil
      machine.snooze
      expect([fiber.result, fiber.alive?]).to eq([:ran, false])
    end

    it "may come twice" do
      fiber = described_class.new { nil }.add_done_listener(queue)
      2.times { fiber.mark_as_done }
      expect(items).to eq([fiber])
    end
  end

  describe "run by UringMachine#run" do
    def running(body)
      fiber = described_class.new { machine.run(fiber, &body) && machine.switch }
    end

    it "is done with the value of the block" do
      fiber = running(-> { :result })
      machine.schedule(fiber, nil)
      machine.snooze
      expect([fiber.result, fiber.done?, machine.fiber_set]).to eq([:result, true, Set[]])
    end

    it "is one of the machine's fibers, also after somebody began to listen" do
      fiber = running(-> { machine.yield }).add_done_listener(queue)
      machine.schedule(fiber, nil)
      machine.snooze
      expect(machine.fiber_set).to eq(Set[fiber])
      machine.schedule(fiber, :result)
      expect([machine.join(fiber), items, machine.fiber_set]).to eq([:result, [fiber], Set[]])
    end
  end

  it "has no instance variable that a program could remove" do
    fiber = parked { machine.yield }
    expect(fiber.instance_variables).to eq([])
    machine.schedule(fiber, :result)
    expect(machine.join(fiber)).to eq(:result)
  end

  it "is nothing but done? and result for others" do
    fiber = described_class.new { :value }
    before = [fiber.done?, fiber.done, fiber.result]
    expect([*before, fiber.resume, fiber.done?, fiber.result]).to eq([nil, nil, nil, :value, nil, nil])
  end
end
