# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "prepare and start" do
  include SpecSupport::MachineHelpers

  it "run a fiber at once, up to its first wait, when it is started", :gc do
    events = []
    prepared = machine.prepare { events << :begun << machine.sleep(0.001) << :ended }
    expect([machine.fiber_set.size, events]).to eq([0, []])
    machine.spin { events << :other }
    expect(machine.start(prepared)).to equal(machine)
    expect([machine.fiber_set.include?(prepared), events]).to eq([true, [:begun]])
    machine.await(prepared)
    expect(events).to eq([:begun, :other, 0.001, :ended])
  end

  it "keep the exception that ends it as its result" do
    prepared = machine.prepare { raise "failed" }
    machine.start(prepared)
    expect([prepared.done?, prepared.result.message, machine.fiber_set.size]).to eq([true, "failed", 0])
  end

  it "run a fiber that was spun before its turn comes, once", :gc do
    events = []
    body = ->(value) { events << value << machine.sleep(0.001) }
    fibers = Array.new(3) { |number| machine.spin(number, &body) }
    machine.start(fibers[1])
    expect(events).to eq([1])
    expect { machine.start(fibers[1]) }.to raise_error(UM::Error)
    machine.await(fibers)
    expect(events.grep(Integer)).to eq([1, 0, 2])
  end

  it "refuse what isn't prepared, or has been started", :gc do
    done = machine.prepare { nil }
    waiting = machine.prepare { machine.sleep(0.001) }
    [done, waiting].each { |fiber| machine.start(fiber) }
    others = [done, waiting, Fiber.new { nil }, Fiber.current, UM.new.prepare { nil }]
    others.each { |fiber| expect { machine.start(fiber) }.to raise_error(UM::Error, /none of this machine/) }
    expect { machine.start(7) }.to raise_error(TypeError)
    expect { machine.prepare }.to raise_error(LocalJumpError)
    machine.await(waiting)
  end

  it "start a fiber in a trap handler without taking the turn of what it interrupted" do
    outcome = ruby_program(<<~'RUBY')
      require "uringmachine"
      machine = UM.new
      reader, writer = UM.pipe
      prepared = Array.new(50) { machine.prepare { machine.sleep(0.001) } }
      trap(:USR1) { machine.start(prepared.pop) }
      sender = Process.pid
      Thread.new { 50.times { Process.kill(:USR1, sender); sleep 0.001 } }
      bytes = 0
      machine.spin { 500.times { machine.write(writer, "x"); machine.sleep(0.0001) }; machine.close(writer) }
      buffer = +""
      while (count = machine.read(reader, buffer, 1)).positive?
        bytes += count
      end
      p bytes
    RUBY
    expect([outcome.stdout, outcome.stderr]).to eq(["500\n", ""])
  end
end
