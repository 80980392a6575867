# frozen_string_literal: true

require "socket"

RSpec.describe UM, "constants" do
  # Those of ours that another source knows as well, by both.
  def shared(theirs)
    ours = described_class.constants.to_h { |name| [name, described_class.const_get(name)] }
    names = ours.keys & theirs.keys
    [ours.slice(*names), theirs.slice(*names)]
  end

  def constants_of(mod) = mod.constants.to_h { |name| [name, mod.const_get(name)] }

  it "of sockets are those of Socket" do
    ours, theirs = shared(constants_of(Socket::Constants))
    expect(ours).to eq(theirs)
    expect(ours.size).to be > 150
    %w[AF AI INADDR IP IPPROTO IPV6 MSG NI PF SHUT SO SOCK SOL TCP].each do |family|
      expect(ours.keys.grep(/\A#{family}_/)).not_to be_empty, family
    end
  end

  it "of files and processes are those of File and Process" do
    files = constants_of(File::Constants).transform_keys { |name| :"O_#{name}" }
    ours, theirs = shared(files)
    expect(ours).to eq(theirs)
    expect(ours.keys).to include(:O_RDWR, :O_CREAT, :O_APPEND, :O_DIRECT, :O_TMPFILE)
    ours, theirs = shared(constants_of(Process))
    expect(ours).to eq(theirs)
    expect(ours.keys).to include(:WNOHANG, :WUNTRACED)
  end

  it "of errors are all that Ruby knows" do
    errors = Errno.constants.to_h { |name| [name, Errno.const_get(name)::Errno] }
    errors = errors.except(:NOERROR).reject { |name, number| number.zero? && name != :EPERM }
    ours, = shared(errors)
    expect(ours).to eq(errors)
    expect(ours.size).to be > 130
  end

  it "of signals are all that Ruby knows" do
    signals = Signal.list.except("EXIT").transform_keys { |name| :"SIG#{name}" }
    expect(shared(signals).first).to eq(signals.except(:SIGRTMIN, :SIGRTMAX))
    expect([described_class::SIGHUP, described_class::SIGPOLL]).to eq([1, Signal.list["IO"]])
  end

  it "are found among UM.constants, as Integers" do
    expect(described_class.constants).to include(
      :STDERR_FILENO, :AT_FDCWD, :STATX_BTIME, :POLLIN, :P_PIDFD, :CLD_EXITED, :IN_ISDIR, :UDP_CORK
    )
    names = described_class.constants.grep(/\A(E|SIG|SO_|IN_|O_|STATX_|IPV6_)[A-Z0-9_]+\z/)
    expect(names.map { |name| described_class.const_get(name) }).to all(be_an(Integer))
  end

  it "may be negative, or need 32 bits" do
    expect(described_class::AT_FDCWD).to eq(-100)
    expect([described_class::IN_ONESHOT, described_class::INADDR_NONE]).to eq([0x8000_0000, 0xffff_ffff])
  end

  it "combine others" do
    um = described_class
    expect(um::IN_CLOSE).to eq(um::IN_CLOSE_WRITE | um::IN_CLOSE_NOWRITE)
    expect(um::IN_MOVE).to eq(um::IN_MOVED_FROM | um::IN_MOVED_TO)
    expect(um::STATX_BASIC_STATS.allbits?(um::STATX_SIZE | um::STATX_MODE)).to be(true)
  end

  it "have the gem's version and the exception of #terminate beside them" do
    expect(described_class::VERSION).to match(/\A\d+\.\d+\.\d+/)
    expect(described_class::TERMINATE_EXCEPTION).to be_a(described_class::Terminate)
  end
end
