# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "class methods" do
  include SpecSupport::MachineHelpers

  def sleeper = Process.spawn("sleep", "100")

  describe ".pidfd_open and .pidfd_send_signal" do
    it "signal a process" do
      pid = sleeper
      fd = keep(UM.pidfd_open(pid))
      expect(as_io(fd).close_on_exec?).to be(true)
      expect([UM.pidfd_send_signal(fd, 0), UM.pidfd_send_signal(fd, UM::SIGTERM)]).to eq([fd, fd])
      expect(Process.wait2(pid).last.termsig).to eq(UM::SIGTERM)
    end

    it "raise ESRCH for a process that is gone" do
      pid = sleeper
      fd = keep(UM.pidfd_open(pid))
      UM.pidfd_send_signal(fd, UM::SIGKILL)
      Process.wait(pid)
      expect { UM.pidfd_send_signal(fd, 0) }.to raise_error(Errno::ESRCH)
      expect { UM.pidfd_open(pid) }.to raise_error(Errno::ESRCH)
    end

    it "raise for what is no pid, pidfd or signal" do
      expect { UM.pidfd_open(-1) }.to raise_error(Errno::EINVAL)
      expect { UM.pidfd_open("1") }.to raise_error(TypeError)
      expect { UM.pidfd_send_signal(pipe.first, 0) }.to raise_error(Errno::EBADF)
      expect { UM.pidfd_send_signal(keep(UM.pidfd_open(Process.pid)), 1000) }.to raise_error(Errno::EINVAL)
      expect { UM.pidfd_send_signal(1, :TERM) }.to raise_error(TypeError)
    end

    it "give a descriptor that becomes readable when the process ends" do
      pid = sleeper
      fd = keep(UM.pidfd_open(pid))
      fiber = parked { machine.poll(fd, UM::POLLIN) }
      UM.pidfd_send_signal(fd, UM::SIGTERM)
      expect(soon { machine.join(fiber) }).to eq(UM::POLLIN)
      Process.wait(pid)
    end
  end

  describe ".kernel_version" do
    it "is what uname says" do
      major, minor = File.read("/proc/sys/kernel/osrelease").scan(/\d+/).map(&:to_i)
      expect(UM.kernel_version).to eq((major * 100) + minor)
    end
  end

  describe ".debug" do
    it "writes a line to stderr, whatever $stderr is, and returns nil" do
      outcome = ruby_program(<<~RUBY)
        require "uringmachine"
        require "stringio"
        $stderr = StringIO.new
        p UM.debug("one"), UM.debug("two\\xff".b)
      RUBY
      expect([outcome.stdout, outcome.stderr.b]).to eq(["nil\nnil\n", "one\ntwo\xff\n".b])
    end

    it "does not care about a closed stderr" do
      outcome = ruby_program("require 'uringmachine'\nIO.for_fd(2).close\nUM.debug('x')\nputs 'went on'")
      expect(outcome.stdout).to eq("went on\n")
    end

    it "takes Strings only" do
      expect { UM.debug(:symbol) }.to raise_error(TypeError)
    end
  end

  describe ".pr_set_child_subreaper" do
    it "makes orphans our children, or not, and returns its argument" do
      outcome = ruby_program(<<~'RUBY')
        require "uringmachine"
        def orphan = system("sh -c 'exit 7' & exit 0") && Process.wait2.last.exitstatus
        p UM.pr_set_child_subreaper(true), orphan, UM.pr_set_child_subreaper(false)
        p((orphan rescue $!.class))
      RUBY
      expect([outcome.stdout, outcome.stderr]).to eq(["true\n7\nfalse\nErrno::ECHILD\n", ""])
    end
  end
end
