# frozen_string_literal: true

require "rbconfig"
require_relative "../support/machine_helpers"

RSpec.describe UM, "where io_uring is refused" do
  include SpecSupport::Subprocess

  # Makes io_uring_setup fail with an errno from here on: a filter of four instructions.
  let(:refuse) { <<~'RUBY' }
    require "fiddle"

    def refuse_io_uring(errno)
      load_number, jump_if_equal, return_value = 0x20, 0x15, 0x06 # of struct seccomp_data, offset 0
      instructions = [
        [load_number, 0, 0, 0],
        [jump_if_equal, 0, 1, 425], # io_uring_setup, on all architectures
        [return_value, 0, 0, 0x0005_0000 | errno],
        [return_value, 0, 0, 0x7fff_0000]
      ].map { |instruction| instruction.pack("SCCL") }.join
      program = [4, Fiddle::Pointer[instructions].to_i].pack("Sx6Q")
      number = Fiddle::TYPE_LONG
      prctl = Fiddle::Function.new(Fiddle::Handle::DEFAULT["prctl"], [Fiddle::TYPE_INT] + [number] * 4, Fiddle::TYPE_INT)
      raise "no_new_privs" unless prctl.call(38, 1, 0, 0, 0).zero?
      raise "seccomp" unless prctl.call(22, 2, Fiddle::Pointer[program].to_i, 0, 0).zero?
    end
  RUBY

  def output_of(source)
    outcome = ruby_program("require 'uringmachine'\n$stdout.sync = true\n#{refuse}\n#{source}")
    skip "this Ruby has no Fiddle" if outcome.stderr.include?("cannot load such file -- fiddle")
    expect([outcome.status.exitstatus, outcome.stderr]).to eq([0, ""]), outcome.inspect
    outcome.stdout.lines(chomp: true)
  end

  let(:report) { <<~RUBY }
    begin
      UM.new
    rescue UM::UnsupportedError => e
      puts e.message
    end
    p UM.supported?
    p UM.capabilities[:io_uring]
  RUBY

  it "by a filter that answers EPERM, says so and what to do" do
    message, supported, there = output_of("refuse_io_uring(Errno::EPERM::Errno)\n#{report}")
    expect(message).to match(/io_uring/).and match(/seccomp|filter/).and match(/allow/)
    expect([supported, there]).to eq(%w[false false])
  end

  it "by a filter that answers ENOSYS, says so and what to do" do
    message, supported, there = output_of("refuse_io_uring(Errno::ENOSYS::Errno)\n#{report}")
    expect(message).to match(/io_uring/).and match(/kernel|filter/).and match(/Linux \d/)
    expect([supported, there]).to eq(%w[false false])
  end

  it "for want of memory, says so and what to do" do
    message, = output_of("refuse_io_uring(Errno::ENOMEM::Errno)\n#{report}")
    expect(message).to match(/memory/).and match(/ulimit/)
  end

  it "for want of descriptors, says that this is the process' limit and what to do" do
    message, supported = output_of(<<~RUBY)
      Process.setrlimit(:NOFILE, 64)
      held = []
      begin
        loop { held << File.open(File::NULL) }
      rescue Errno::EMFILE
        held.pop.close
      end
      begin
        UM.new
      rescue UM::UnsupportedError => e
        puts e.message
      end
      held.each(&:close)
      p UM.supported?
    RUBY
    expect(message).to match(/the process has too many open files/).and match(/ulimit/)
    expect(message).not_to include("not available")
    expect(supported).to eq("true")
  end

  it "doesn't crash, whatever is tried" do
    lines = output_of(<<~RUBY)
      refuse_io_uring(Errno::EPERM::Errno)
      tries = [
        -> { UM.new }, -> { UM.new(size: 4) }, -> { Thread.current.machine }, -> { UM.allocate.sleep(1) },
        -> { Thread.new { Thread.current.report_on_exception = false; Thread.current.machine }.value }
      ]
      tries.each { |try| begin try.call; rescue UM::Error => e; puts e.class; end }
      100.times { UM.new rescue nil }
      GC.start
      p UM.pipe.size
    RUBY
    refused = "UringMachine::UnsupportedError"
    expect(lines).to eq([refused, refused, refused, "UringMachine::Error", refused, "2"])
  end

  it "leaves machines that exist alone" do
    lines = output_of(<<~RUBY)
      machine = UM.new
      refuse_io_uring(Errno::EPERM::Errno)
      p machine.join(machine.spin { machine.sleep(0.001) })
    RUBY
    expect(lines).to eq(%w[0.001])
  end

  it "leaks no descriptor" do
    lines = output_of(<<~RUBY)
      refuse_io_uring(Errno::EPERM::Errno)
      before = Dir.children("/proc/self/fd").size
      20.times { UM.new rescue nil }
      p Dir.children("/proc/self/fd").size - before
    RUBY
    expect(lines).to eq(%w[0])
  end

  describe "and where it is not" do
    it "is supported" do
      expect(described_class.supported?).to be(true)
    end

    it "names its capabilities" do
      expect(described_class.capabilities).to include(io_uring: true)
      expect(described_class.capabilities.keys).to all(be_a(Symbol))
    end

    it "has UnsupportedError among its errors" do
      expect(described_class::UnsupportedError.ancestors).to include(described_class::Error, StandardError)
    end
  end
end
