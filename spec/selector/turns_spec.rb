# frozen_string_literal: true

require "uringmachine/selector"
require_relative "../support/selector_loop"

# Who runs when: what Async's loop asks of a selector, without Async.
RSpec.describe UM::Selector do
  include SpecSupport::SelectorLoop

  def wait_readable(io) = selector.io_wait(Fiber.current, io, IO::READABLE)

  it "is found by the name that IO_EVENT_SELECTOR has" do
    expect(IO::Event::Selector.const_get(:UringMachine)).to be(described_class)
  end

  it "knows its loop until it is closed" do
    expect([selector.loop, selector.closed?]).to eq([Fiber.current, false])
    selector.close
    expect([selector.loop, selector.closed?]).to eq([nil, true])
  end

  describe "#push", :gc do
    it "runs a fiber at the next select" do
      selector.push(Fiber.new { log << :ran })
      expect([selector.ready?, log]).to eq([true, []])
      selector.select(0)
      expect([selector.ready?, log]).to eq([false, [:ran]])
    end

    it "takes what can be transferred to like a fiber, as long as it is alive" do
      kind = Struct.new(:log, :alive) do
        def alive? = alive
        def transfer = log << :transferred
      end
      [true, false].each { |alive| selector.push(kind.new(log, alive)) }
      selector.select(0)
      expect(log).to eq([:transferred])
    end

    it "leaves out a fiber that has ended meanwhile" do
      fiber = Fiber.new { log << :ran }
      2.times { selector.push(fiber) }
      selector.select(0)
      expect(log).to eq([:ran])
    end

    it "leaves who becomes ready meanwhile to the next select" do
      selector.push(Fiber.new { selector.push(Fiber.new { log << :second }) })
      selector.select(0)
      expect(log).to eq([])
      selector.select(0)
      expect(log).to eq([:second])
    end

    it "keeps who was not run yet when an exception came up" do
      selector.push(Fiber.new { raise "of a fiber" })
      selector.push(Fiber.new { log << :ran })
      expect { selector.select(0) }.to raise_error("of a fiber")
      selector.select(0)
      expect(log).to eq([:ran])
    end
  end

  describe "#transfer" do
    it "goes to the loop, and comes back with what the fiber is transferred to with" do
      fiber = start { log << selector.transfer }
      fiber.transfer(:value)
      expect(log).to eq([:value])
    end
  end

  describe "#yield", :gc do
    it "gives the others a turn" do
      %w[a b].each do |name|
        start do
          2.times do |round|
            log << "#{name}#{round}"
            selector.yield
          end
        end
      end
      3.times { selector.select(0) }
      expect(log).to eq(%w[a0 b0 a1 b1])
    end

    it "is over when somebody else transfers to the fiber, and has no turn left" do
      fiber = start do
        selector.yield
        log << :once
        selector.transfer
        log << :twice
      end
      fiber.transfer
      selector.select(0)
      expect(log).to eq([:once])
    end
  end

  describe "#resume" do
    it "runs a fiber with arguments, and the caller at its next turn" do
      start do
        selector.resume(Fiber.new { |*arguments| log << arguments }, 1, 2)
        log << :caller
      end
      expect(log).to eq([[1, 2]])
      selector.select(0)
      expect(log).to eq([[1, 2], :caller])
    end
  end

  describe "#raise" do
    it "raises in a fiber, and runs the caller at its next turn" do
      waiting = start do
        selector.transfer
      rescue ArgumentError => e
        log << e.message
      end
      start do
        selector.raise(waiting, ArgumentError, "the message")
        log << :caller
      end
      selector.select(0)
      expect(log).to eq(["the message", :caller])
    end

    # What Fiber#raise makes of keywords differs between Rubies.
    it "passes arguments and keywords on as they are" do
      kind = Class.new(StandardError) do
        def self.exception(*arguments, **options) = new([arguments, options].inspect)
      end
      by_ruby = ->(fiber, *arguments, **options) { fiber.raise(*arguments, **options) }
      outcomes = [by_ruby, selector.method(:raise)].map do |raise|
        waiting = start do
          selector.transfer
        rescue StandardError => e
          log << e.message
        end
        start { raise.call(waiting, kind, cause: nil) }
        selector.select(0)
        log.pop
      end
      expect(outcomes).to eq([outcomes.first] * 2)
      expect(outcomes.first).to be_a(String)
    end
  end

  describe "#select" do
    it "waits no longer than it may, and says how long it did" do
      expect(selector.select(0.001)).to eq(0)
      expect(selector.idle_duration).to be_positive
      expect(selector.select(0)).to eq(0)
      expect(selector.idle_duration).to eq(0)
    end

    it "doesn't wait when it has run somebody, who may have set a timer" do
      selector.push(Fiber.new { log << :ran })
      selector.select
      expect(selector.idle_duration).to eq(0)
    end

    it "says for how many the kernel had something" do
      pairs = Array.new(3) { IO.pipe }
      fibers = pairs.map { |reader, _| start { log << wait_readable(reader) } }
      pairs.first(2).each { |_, writer| writer << "x" }
      given = 0
      run_loop { (given += selector.select(1)) == 2 }
      expect(log).to eq([IO::READABLE] * 2)
      fibers.last.raise(IOError) rescue nil # rubocop:disable Style/RescueModifier
    ensure
      pairs&.flatten&.each(&:close)
    end

    it "ends by an exception raised in its thread" do
      thread = once_waiting { |loop| loop.raise(IOError, "from outside") }
      expect { wait_in_select }.to raise_error(IOError, "from outside")
      thread.join
    end

    it "comes back for a signal that is put off, so that the loop can look at it" do
      thread = once_waiting { |loop| loop.raise(IOError, "put off") }
      Thread.handle_interrupt(IOError => :never) do
        wait_in_select
        log << Thread.pending_interrupt?
        Thread.handle_interrupt(IOError => :immediate) { Thread.pass }
      rescue IOError
        log << :raised
      end
      thread.join
      expect(log).to eq([true, :raised])
    end

    it "takes no negative or senseless duration for a long one" do
      expect([selector.select(-1), selector.select(0.0)]).to eq([0, 0])
      expect { selector.select("soon") }.to raise_error(TypeError)
    end
  end

  describe "#wakeup" do
    it "ends the wait of another thread, and only that" do
      fiber = Fiber.new { log << :ran }
      thread = once_waiting do
        selector.push(fiber)
        selector.wakeup
      end
      expect(selector.wakeup).to be(false)
      expect(wait_in_select).to eq(0)
      expect([thread.value, selector.ready?, log]).to eq([true, true, []])
      selector.select(0)
      expect(log).to eq([:ran])
    end

    it "loses none of many wake-ups" do
      taken = 0
      token = Struct.new(:body) do
        def alive? = true
        def transfer = body.call
      end
      thread = Thread.new do
        500.times do
          selector.push(token.new(-> { taken += 1 }))
          selector.wakeup
        end
      end
      selector.select until taken == 500
      thread.join
      expect(selector.ready?).to be(false)
    end
  end

  describe "misuse" do
    it "takes a Fiber and nothing else for its loop" do
      expect { described_class.new(nil) }.to raise_error(TypeError)
      expect { described_class.allocate.select }.to raise_error(UM::Error)
    end

    it "refuses to wait for the kernel in the loop's own fiber, for another fiber or thread" do
      reader, writer = IO.pipe
      expect { selector.io_wait(Fiber.current, reader, IO::READABLE) }.to raise_error(FiberError)
      expect { selector.io_wait(Fiber.new { nil }, reader, IO::READABLE) }.to raise_error(ArgumentError)
      elsewhere = Thread.new { selector.select(0) }
      elsewhere.report_on_exception = false
      expect { elsewhere.join }.to raise_error(UM::Error, /another thread/)
    ensure
      [reader, writer].each(&:close)
    end

    it "is of no use once it is closed" do
      2.times { selector.close }
      expect { selector.select(0) }.to raise_error(UM::Error, /closed/)
      expect { selector.transfer }.to raise_error(UM::Error, /closed/)
      expect(selector.wakeup).to be(false)
    end

    it "is closed in a forked child" do
      pid = fork { exit!(selector.closed? && selector.close.nil? ? 0 : 1) }
      expect(Process.wait2(pid).last).to be_success
      expect(selector).not_to be_closed
    end
  end
end
