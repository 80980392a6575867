# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "where descriptors have run out" do
  include SpecSupport::Subprocess

  let(:head) { <<~'RUBY' }
    require "uringmachine"
    require "socket"
    $stdout.sync = true
    MACHINE = UM.new
    # Whatever is made or loaded at the first call.
    MACHINE.resolve("localhost")

    def exhausted
      Process.setrlimit(:NOFILE, 64)
      held = []
      begin
        loop { held << File.open(File::NULL) }
      rescue Errno::EMFILE
        yield held
      end
    ensure
      held.each(&:close)
    end

    def report
      p yield
    rescue SystemCallError => e
      p e.class
    end
  RUBY

  def lines_of(source)
    outcome = ruby_program(head + source)
    expect([outcome.status.exitstatus, outcome.stderr]).to eq([0, ""]), outcome.inspect
    outcome.stdout.lines(chomp: true)
  end

  it "a lookup says so, and not that the name is unknown" do
    lines = lines_of(<<~RUBY)
      exhausted do
        report { MACHINE.resolve("localhost") }
        report { MACHINE.resolve("no-such-host.invalid") }
        report { MACHINE.tcp_connect("localhost", 1) }
        report { MACHINE.connect(0, "localhost", 1) }
      end
      report { MACHINE.resolve("localhost") }
    RUBY
    expect(lines).to eq((["Errno::EMFILE"] * 4) + ['["127.0.0.1"]'])
  end

  it "a lookup of the scheduler says so" do
    lines = lines_of(<<~RUBY)
      Fiber.set_scheduler(UM::FiberScheduler.new(MACHINE))
      exhausted do
        Fiber.schedule { report { Addrinfo.getaddrinfo("localhost", 1, :INET, :STREAM) } }
        Fiber.scheduler.run
      end
    RUBY
    expect(lines).to eq(["Errno::EMFILE"])
  end

  it "#recv_fd says so, and leaves nothing behind" do
    lines = lines_of(<<~RUBY)
      one, other = UM.socketpair(Socket::AF_UNIX, Socket::SOCK_STREAM, 0)
      exhausted do |held|
        MACHINE.send_fd(one, 0)
        report { MACHINE.recv_fd(other) }
        MACHINE.write(one, "x")
        report { MACHINE.recv_fd(other) }
        MACHINE.send_fd(one, 0)
        held.pop.close
        report { MACHINE.close(MACHINE.recv_fd(other)).positive? }
        # All that there is can be had again.
        report { File.open(File::NULL).close }
      end
      p MACHINE.metrics[:ops_pending]
    RUBY
    expect(lines).to eq(["Errno::EMFILE", "Errno::EINVAL", "true", "nil", "0"])
  end
end
