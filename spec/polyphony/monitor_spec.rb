# frozen_string_literal: true

require_relative "../support/parked"

RSpec.describe Polyphony::Monitor, :polyphony do
  include SpecSupport::Parked

  let(:monitor) { described_class.new }

  def holder = parked { monitor.synchronize { Polyphony.pause(nil) } }.first

  it "may be entered again by the fiber that is in, and is left as often" do
    expect([monitor.enter, monitor.mon_enter, monitor.try_enter]).to eq([nil, nil, true])
    other = parked { monitor.synchronize { :in } }.first
    [:exit, :mon_exit].each { |name| monitor.public_send(name) && snooze }
    expect([monitor.locked?, monitor.owned?, other.done?]).to eq([Fiber.current, true, nil])
    monitor.exit
    expect([other.await, monitor.mon_locked?]).to eq([:in, nil])
  end

  it "tells who is in" do
    fiber = holder
    expect([monitor.locked?, monitor.mon_owned?, monitor.try_enter]).to eq([fiber, false, false])
    expect { monitor.exit }.to raise_error(ThreadError)
    expect { monitor.mon_check_owner }.to raise_error(ThreadError)
    terminate(fiber)
    fiber.await
    expect(monitor.mon_try_enter).to be(true)
  end

  it "runs blocks inside, and is left by what they raise" do
    expect(monitor.synchronize { monitor.mon_synchronize { :value } }).to eq(:value)
    expect { monitor.synchronize { monitor.synchronize { raise "failed" } } }.to raise_error("failed")
    expect(monitor.locked?).to be_nil
  end

  it "is not entered by who is interrupted in line" do
    fiber = holder
    waiting = parked { monitor.synchronize { :in } }.first
    interrupt(waiting)
    expect(waiting.await).to be_a(StandardError)
    terminate(fiber)
    fiber.await
    expect(monitor.locked?).to be_nil
  end

  describe "a condition" do
    let(:condition) { monitor.new_cond }

    it "is waited for outside, from however deep inside" do
      fiber = parked do
        monitor.synchronize { monitor.synchronize { [condition.wait, monitor.owned?] } }
      end.first
      monitor.synchronize { condition.signal }
      expect([fiber.await, monitor.locked?]).to eq([[true, true], nil])
    end

    it "is waited for while or until something is so" do
      items = []
      first = parked { monitor.synchronize { condition.wait_while { items.empty? } || items.shift } }.first
      second = parked { monitor.synchronize { condition.wait_until { items.any? } || items.shift } }.first
      monitor.synchronize { condition.broadcast }
      3.times { snooze }
      monitor.synchronize { items.push(1, 2) && condition.broadcast }
      expect(Fiber.await(first, second)).to eq([1, 2])
    end

    it "is waited for no longer than so" do
      expect(monitor.synchronize { [condition.wait(0.001), monitor.owned?] }).to eq([false, true])
    end

    it "leaves the monitor as deep as it was, also interrupted" do
      fiber = parked do
        monitor.synchronize do
          monitor.synchronize { error_of { condition.wait } }
          monitor.owned?
        end
      end.first
      interrupt(fiber)
      expect([fiber.await, monitor.locked?]).to eq([true, nil])
    end

    it "is for those who are inside" do
      %i[wait signal broadcast].each do |name|
        expect { condition.public_send(name) }.to raise_error(ThreadError)
      end
    end
  end

  it "works between threads" do
    condition = monitor.new_cond
    ready = false
    thread = Thread.new { monitor.synchronize { condition.wait_until { ready } || :woken } }
    Thread.pass until thread.stop?
    monitor.synchronize { (ready = true) && condition.signal }
    expect(thread.value).to eq(:woken)
  end
end
