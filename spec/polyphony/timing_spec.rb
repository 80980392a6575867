# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe "time limits, after and every", :polyphony do
  include SpecSupport::Parked

  let(:log) { [] }

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  def for_ever = Polyphony.pause(nil)

  def waiting_fibers = Polyphony.machine.pending.size

  shared_examples "a time limit" do |method|
    it "gives the value of a block that is quick enough, and never interrupts later" do
      expect(send(method, 0.001) { :value }).to eq(:value)
      expect([Polyphony.pause(0.003), waiting_fibers]).to eq([nil, 0])
    end

    it "is over when the block is left" do
      send(method, 0.001) { break }
      expect { send(method, 0.001) { raise "failed" } }.to raise_error("failed")
      catch(:out) { send(method, 0.001) { throw :out } }
      expect(Polyphony.pause(0.003)).to be_nil
    end

    it "that ran out while nothing waited is void once the block has ended" do
      value = send(method, 0.0005) do
        nil until now > (@end ||= now + 0.002)
        :value
      end
      expect([value, Polyphony.pause(0.001)]).to eq([:value, nil])
    end

    it "can begin anew" do
      value = send(method, 0.05) do |timeout|
        3.times { Polyphony.pause(0.025) || timeout.reset }
        :value
      end
      expect(value).to eq(:value)
    end

    it "can be taken away" do
      expect(send(method, 0.001) { |timeout| timeout.stop || Polyphony.pause(0.003) || :value }).to eq(:value)
    end

    it "does nothing when it begins anew outside its block" do
      limit = nil
      send(method, 0.001) { |timeout| limit = timeout }
      expect([limit.reset, limit.stop, Polyphony.pause(0.003)]).to eq([limit, nil, nil])
    end

    it "takes blocks of any kind" do
      expect(send(method, 1, &-> { :lambda })).to eq(:lambda)
      expect(send(method, 1, &->(timeout) { timeout.class })).to be < Polyphony::TimeLimit
      expect(send(method, 1) { |*args| args.size }).to eq(1)
    end

    it "keeps nothing of ten thousand that don't run out" do
      10_000.times { send(method, 100) { nil } }
      Polyphony.pause(0.0001)
      expect(Polyphony.machine.metrics[:ops_pending]).to eq(0)
    end

    it "refuses what is no time" do
      [nil, "1", :soon].each { |time| expect { send(method, time) { nil } }.to raise_error(TypeError) }
      expect { send(method, Float::NAN) { nil } }.to raise_error(ArgumentError)
      expect { send(method, nil) }.to raise_error(TypeError)
      expect { send(method, -1) }.to raise_error(ArgumentError)
    end
  end

  describe "cancel_after" do
    it_behaves_like "a time limit", :cancel_after

    it "raises Cancel where the block waits" do
      expect { cancel_after(0.001) { for_ever } }.to raise_error(Polyphony::Cancel)
      expect(Polyphony.pause(0.002)).to be_nil
    end

    it "isn't caught by a plain rescue" do
      expect { cancel_after(0.001) { for_ever rescue :rescued } }.to raise_error(Polyphony::Cancel) # rubocop:disable Style/RescueModifier
    end

    it "raises what it is told to" do
      given = ArgumentError.new("given")
      {
        ArgumentError => [ArgumentError, "ArgumentError"],
        [ArgumentError, "of the array"] => [ArgumentError, "of the array"],
        given => [ArgumentError, "given"],
        "text" => [RuntimeError, "text"]
      }.each do |with_exception, expected|
        expect { cancel_after(0.001, with_exception:) { for_ever } }.to raise_error(*expected)
      end
    end

    it "raises what comes of an exception that can't be made" do
      picky = Class.new(StandardError) { def initialize(one, two) = super("#{one}#{two}") }
      expect { cancel_after(0.001, with_exception: picky) { for_ever } }.to raise_error(ArgumentError)
      expect { cancel_after(0.001, with_exception: [picky, 1, 2]) { for_ever } }.to raise_error(picky, "12")
    end

    it "refuses what can't be raised, before anything happens" do
      [nil, 1, Object, [], ["text"], [Object, "text"]].each do |with_exception|
        expect { cancel_after(1, with_exception:) { log << :ran } }.to raise_error(TypeError)
        expect { cancel_after(1, with_exception:) }.to raise_error(TypeError)
      end
      expect(log).to eq([])
    end

    it "without a block cancels the caller, unless it is ended before" do
      fiber = cancel_after(0.001)
      expect { for_ever }.to raise_error(Polyphony::Cancel)
      expect(fiber).to be_a(Fiber)
      terminate(cancel_after(0.002, with_exception: "late"))
      expect(Polyphony.pause(0.005)).to be_nil
    end

    it "interrupts I/O, and fibers that wait for others" do
      reader, writer = IO.pipe
      fiber = spin { error_of { cancel_after(0.001) { reader.read(1) } } }
      expect(fiber.await).to be_a(Polyphony::Cancel)
      child = spin { for_ever }
      expect { cancel_after(0.001) { child.await } }.to raise_error(Polyphony::Cancel)
      terminate(child)
      [reader, writer].each(&:close)
    end
  end

  describe "move_on_after" do
    it_behaves_like "a time limit", :move_on_after

    it "gives nil, or another value, past the time", :gc do
      expect(move_on_after(0.001) { for_ever }).to be_nil
      expect(move_on_after(0.001, with_value: :late) { for_ever }).to eq(:late)
    end

    it "runs ensure blocks, which may wait" do
      move_on_after(0.001) do
        for_ever
      ensure
        Polyphony.pause(0.002)
        log << :waited
      end
      expect(log).to eq([:waited])
    end

    it "moves on from the inner one or from both, whichever runs out" do
      inner = move_on_after(10, with_value: :outer) do
        [move_on_after(0.001, with_value: :inner) { for_ever }, :on]
      end
      outer = move_on_after(0.001, with_value: :outer) do
        [move_on_after(10, with_value: :inner) { for_ever }, :on]
      end
      expect([inner, outer]).to eq([[:inner, :on], :outer])
    end

    it "leaves other exceptions alone, also of its own kind" do
      other = Polyphony::MoveOn.new(:other)
      expect { move_on_after(1) { raise other } }.to raise_error(other)
    end

    it "is not the end of a fiber" do
      fiber = spin { [move_on_after(0.001, with_value: :late) { for_ever }, :on] }
      expect(fiber.await).to eq([:late, :on])
    end

    it "without a block schedules the caller, unless it is ended before" do
      expect(move_on_after(0.001, with_value: :late)).to be_a(Fiber)
      expect(for_ever).to eq(:late)
      terminate(move_on_after(0.002))
      expect(Polyphony.pause(0.005)).to be_nil
    end
  end

  it "may all be nested, with one at the same time as another" do
    100.times do
      value = move_on_after(0.0005, with_value: :moved) do
        cancel_after(0.0005, with_exception: "cancelled") { for_ever }
      rescue RuntimeError => e
        e.message
      end
      expect(%i[moved].push("cancelled")).to include(value)
    end
    expect(Polyphony.pause(0.001)).to be_nil
  end

  describe "after" do
    it "runs the block in a fiber, later" do
      fiber = after(0.002) { :value }
      snooze
      expect(fiber).not_to be_done
      expect(fiber.await).to eq(:value)
      expect(after(0) { :at_once }.await).to eq(:at_once)
    end

    it "does nothing when the fiber is ended before" do
      fiber = after(0.001) { log << :ran }
      terminate(fiber)
      Polyphony.pause(0.003)
      expect(log).to eq([])
    end

    it "refuses what is no time, or no block" do
      expect { after(-1) { nil } }.to raise_error(ArgumentError)
      expect { after("1") { nil } }.to raise_error(TypeError)
      expect { after(1) }.to raise_error(ArgumentError)
    end
  end

  describe "every" do
    it "runs the block after each interval, until it is left" do
      start = now
      expect(every(0.002) { break :left if log.push(now - start).size == 4 }).to eq(:left)
      log.each_with_index { |time, turn| expect(time).to be >= 0.002 * (turn + 1) }
      every(0.0001) { raise StopIteration }
    end

    it "leaves turns out that come while the block runs" do
      start = now
      every(0.01) do
        log << ((now - start) / 0.01)
        Polyphony.pause(0.025) if log.one?
        break if log.size == 3
      end
      expect(log.map(&:floor)).to eq(log.map(&:floor).uniq)
      expect(log[1] - log[0]).to be >= 2
    end

    it "goes on when the fiber is scheduled with a value" do
      fiber = spin { every(0.002) { break :left } }
      snooze
      Polyphony.machine.schedule(fiber, :value)
      expect(fiber.await).to eq(:left)
    end

    it "refuses what is no interval, or no block" do
      [0, -1, Float::NAN].each { |time| expect { every(time) { nil } }.to raise_error(ArgumentError) }
      expect { every(nil) { nil } }.to raise_error(TypeError)
      expect { every(1) }.to raise_error(ArgumentError)
    end
  end

  it "adds no public method to objects" do
    %i[after every throttled_loop cancel_after move_on_after].each do |name|
      expect { Object.new.public_send(name, 1) { nil } }.to raise_error(NoMethodError)
    end
  end
end
