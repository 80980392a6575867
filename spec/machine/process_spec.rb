# frozen_string_literal: true

require "English"
require_relative "../support/machine_helpers"

# waitid and waitid_status, by the ring and by what stands in for it on older kernels.
RSpec.describe UM, "waiting for processes" do
  include SpecSupport::MachineHelpers

  p_all = 0
  p_pid = 1
  p_pgid = 2
  p_pidfd = 3
  nohang = 1
  stopped = 2
  exited = 4
  continued = 8
  nowait = 0x1000000
  cld_exited = 1
  cld_killed = 2
  cld_stopped = 5

  let(:stop) { SpecSupport::MachineHelpers::Stop }

  # A shell that waits for a line, and what opens its gate.
  def waiting_shell(script = "exit 0", **)
    reader, gate = IO.pipe
    pid = spawn("read line; #{script}", in: reader, **)
    reader.close
    [pid, gate]
  end

  def pidfd_of(pid) = keep(IO.for_fd(syscall(434, pid, 0), autoclose: false).fileno)

  def reaped?(pid)
    Process.wait(pid, Process::WNOHANG)
    false
  rescue Errno::ECHILD
    true
  end

  [nil, "waitid"].each do |without|
    describe without ? "on a kernel without it" : "on this kernel" do
      around do |example|
        before = ENV.fetch("POLYPHONY_WITHOUT", nil)
        ENV["POLYPHONY_WITHOUT"] = without
        machine
        ENV["POLYPHONY_WITHOUT"] = before
        example.run
      end

      it "waitid gives pid, exit code and kind of a child that has ended" do
        pid = spawn("exit 3")
        expect(machine.waitid(p_pid, pid, exited)).to eq([pid, 3, cld_exited])
        expect(reaped?(pid)).to be(true)
      end

      it "waitid lets others run" do
        pid, gate = waiting_shell("exit 4")
        fiber = machine.spin { machine.waitid(p_pid, pid, exited) }
        machine.spin { gate.close }
        expect(machine.join(fiber)).to eq([pid, 4, cld_exited])
      end

      it "waitid tells of signals" do
        pid = spawn("kill -TERM $$")
        expect(machine.waitid(p_pid, pid, exited)).to eq([pid, 15, cld_killed])
      end

      it "waitid waits for any child, for a group's, and by a pidfd" do
        first, one = waiting_shell("exit 1", pgroup: true)
        second, two = waiting_shell("exit 2")
        third, three = waiting_shell("exit 3")
        whom = [[p_pgid, first, one], [p_pidfd, pidfd_of(second), two], [p_all, 0, three]]
        results = whom.map do |idtype, id, gate|
          fiber = parked { machine.waitid(idtype, id, exited) }
          gate.close
          machine.join(fiber)
        end
        expect(results).to eq([[first, 1, cld_exited], [second, 2, cld_exited], [third, 3, cld_exited]])
      end

      it "waitid gives each child to one of several fibers" do
        shells = Array.new(3) { waiting_shell }
        fibers = Array.new(3) { machine.spin { machine.waitid(p_all, 0, exited) } }
        machine.snooze
        shells.each { |_, gate| gate.close }
        expect(machine.join(fibers).map(&:first)).to match_array(shells.map(&:first))
      end

      it "waitid doesn't wait with WNOHANG" do
        pid, gate = waiting_shell
        expect(machine.waitid(p_pid, pid, exited | nohang)).to eq([0, 0, 0])
        gate.close
        expect(machine.waitid(p_pid, pid, exited)).to eq([pid, 0, cld_exited])
      end

      it "waitid leaves the child to be reaped with WNOWAIT" do
        pid = spawn("exit 3")
        2.times { expect(machine.waitid(p_pid, pid, exited | nowait)).to eq([pid, 3, cld_exited]) }
        expect(Process.wait2(pid).last.exitstatus).to eq(3)
      end

      it "waitid tells of stopping, as waitid_status does" do
        pid, gate = waiting_shell
        fiber = parked { machine.waitid(p_pid, pid, stopped | nowait) }
        Process.kill(:STOP, pid)
        expect(machine.join(fiber)).to eq([pid, 19, cld_stopped])
        status = machine.waitid_status(p_pid, pid, stopped)
        expect([status.stopped?, status.stopsig]).to eq([true, 19])
        Process.kill(:CONT, pid)
        expect(machine.waitid(p_pid, pid, continued).first).to eq(pid)
        gate.close
        Process.wait(pid)
      end

      it "waitid_status gives a Process::Status, leaves the child, and sets $?" do
        { "exit 3" => [3, nil], "kill -KILL $$" => [nil, 9] }.each do |script, expected|
          pid = spawn(script)
          status = machine.waitid_status(p_pid, pid, exited)
          expect(status).to be_a(Process::Status)
          expect([status.pid, status.exitstatus, status.termsig]).to eq([pid, *expected])
          expect($CHILD_STATUS).to eq(status)
          expect(Process.wait2(pid)).to eq([pid, status])
        end
      end

      it "waitid_status is nil where nothing has changed under WNOHANG" do
        pid, gate = waiting_shell
        expect(machine.waitid_status(p_pid, pid, exited | nohang)).to be_nil
        gate.close
        Process.wait(pid)
      end

      it "are interrupted, and no status is lost" do
        pid, gate = waiting_shell("exit 5")
        %i[waitid waitid_status].each do |name|
          wait = -> { machine.public_send(name, p_pid, pid, exited) }
          fiber = parked(&wait)
          machine.schedule(fiber, stop.new)
          expect(machine.join(fiber)).to be_a(stop)
          expect { machine.timeout(0.001, stop) { wait.call } }.to raise_error(stop)
          expect(machine.timeout(0.001, :late) { wait.call }).to eq(:late)
        end
        fiber = parked { machine.waitid(p_pid, pid, exited) }
        gate.close
        machine.schedule(fiber, stop.new)
        expect(machine.join(fiber)).to be_a(stop)
        expect(machine.waitid(p_pid, pid, exited)).to eq([pid, 5, cld_exited])
      end

      it "waitid raises ECHILD when the child is reaped by somebody else" do
        pid, gate = waiting_shell
        fiber = parked { machine.waitid(p_pid, pid, exited) }
        gate.close
        Process.wait(pid)
        expect(soon { machine.join(fiber) }).to be_a(Errno::ECHILD)
      end
    end
  end

  it "raise ECHILD and EINVAL" do
    %i[waitid waitid_status].each do |name|
      expect { machine.public_send(name, p_pid, 1, exited) }.to raise_error(Errno::ECHILD)
      expect { machine.public_send(name, p_all, 0, exited) }.to raise_error(Errno::ECHILD)
      [[p_pid, 0, exited], [p_pid, -5, exited], [99, 1, exited], [p_all, 0, 0]].each do |bad|
        expect { machine.public_send(name, *bad) }.to raise_error(Errno::EINVAL)
      end
      expect { machine.public_send(name, p_pidfd, pipe.first, exited) }.to raise_error(Errno::EBADF)
    end
    expect(pending).to eq(0)
  end

  it "refuse what is no number" do
    [[nil, 1, 4], [1, "1", 4], [1, 1, nil]].each do |bad|
      expect { machine.waitid(*bad) }.to raise_error(TypeError)
      expect { machine.waitid_status(*bad) }.to raise_error(TypeError)
    end
    expect { machine.waitid(1, 2**40, 4) }.to raise_error(RangeError)
  end

  it "survive garbage collection at any moment", :gc do
    pids = Array.new(2) { |number| spawn("exit #{number}") }
    expect(machine.waitid_status(p_pid, pids.first, exited).exitstatus).to eq(0)
    pids.each_with_index do |pid, code|
      expect(machine.waitid(p_pid, pid, exited)).to eq([pid, code, cld_exited])
    end
  end
end
