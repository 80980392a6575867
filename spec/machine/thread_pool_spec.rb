# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe "UringMachine::BlockingOperationThreadPool" do
  include SpecSupport::MachineHelpers

  let(:pool) { UM::BlockingOperationThreadPool.new(2) }

  it "runs jobs beside the fibers, on as many threads as it has" do
    gate = Thread::Queue.new
    jobs = Array.new(5) { machine.spin { pool.process(machine, -> { [gate.pop, Thread.current] }) } }
    machine.snooze
    5.times { gate << :open }
    results = soon { machine.join(jobs) }
    expect([results.map(&:first).uniq, results.map(&:last).uniq.size <= 2]).to eq([[:open], true])
    expect(results.map(&:last)).not_to include(Thread.current)
  end

  it "has a thread for each of two jobs, one of which ends by the other" do
    soon { pool.process(machine, -> { 1 }) }
    gate = Thread::Queue.new
    jobs = [-> { gate.pop }, -> { gate << :open }].map { |job| machine.spin { pool.process(machine, job) } }
    expect(soon { machine.join(jobs) }).to eq([:open, gate])
  end

  it "goes on when its threads are killed" do
    jobs = Array.new(3) { machine.spin { error_of { pool.process(machine, -> { Thread.current.kill }) } } }
    expect(soon { machine.join(jobs) }.map(&:class)).to eq([ThreadError] * 3)
    expect(soon { pool.process(machine, -> { 1 }) }).to eq(1)
  end

  it "raises what a job raises" do
    expect { soon { pool.process(machine, -> { raise IOError, "no" }) } }.to raise_error(IOError, "no")
    expect(soon { pool.process(machine, -> { 1 }) }).to eq(1)
  end

  it "waits for the job before an interruption is raised" do
    done = false
    job = -> { sleep(0.05) && done = true }
    expect { machine.timeout(0.001, IOError) { pool.process(machine, job) } }.to raise_error(IOError)
    expect(done).to be(true)
  end

  it "starts anew in a forked child" do
    soon { pool.process(machine, -> { 1 }) }
    pid = fork { exit!(UM.new.then { |own| pool.process(own, -> { 7 }) }) }
    expect(Process.wait2(pid).last.exitstatus).to eq(7)
  end

  # One of them may be kept by what looks like a reference on the stack.
  it "ends its threads when it is collected" do
    threads = Array.new(10) do
      soon { UM::BlockingOperationThreadPool.new(1).process(machine, -> { Thread.current }) }
    end
    200.times do
      GC.start
      threads.count(&:alive?) > 2 ? sleep(0.01) : break
    end
    expect(threads.count(&:alive?)).to be <= 2
  end

  it "refuses a size that is none" do
    [0, -1].each { |size| expect { described_class.new(size) }.to raise_error(ArgumentError) }
    [nil, "2", 1.5].each { |size| expect { described_class.new(size) }.to raise_error(TypeError) }
  end

  def described_class = UM::BlockingOperationThreadPool
end
