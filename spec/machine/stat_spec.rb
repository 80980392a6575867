# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "#statx" do
  include SpecSupport::MachineHelpers

  cwd = -100 # AT_FDCWD
  nofollow = 0x100 # AT_SYMLINK_NOFOLLOW
  all = 0xfff # STATX_ALL

  let(:path) { file("hello") }
  let(:stat) { File.stat(path) }

  it "gives what File::Stat gives" do
    result = machine.statx(cwd, path, 0, all)
    names = %i[dev rdev blksize nlink uid gid mode ino size blocks]
    expect(result.values_at(*names)).to eq(names.map { |name| stat.public_send(name) })
    %i[atime ctime mtime].each do |name|
      expect(result[name]).to be_within(1e-5).of(stat.public_send(name).to_f)
    end
    expect(result[:btime]).to be_a(Float)
    expect(result[:attributes]).to be_an(Integer)
  end

  it "has its keys in the documented order" do
    expect(machine.statx(cwd, path, 0, all).keys).to eq(
      %i[dev rdev blksize attributes nlink uid gid mode ino size blocks atime btime ctime mtime]
    )
  end

  it "is about the descriptor where there is no path" do
    fd = keep(machine.open(path, File::RDONLY))
    expect(machine.statx(fd, nil, 0, all)[:ino]).to eq(stat.ino)
    expect(machine.statx(pipe.first, nil, 0, all)[:mode] & 0o170000).to eq(0o010000)
  end

  it "finds a path that begins at a folder" do
    fd = keep(machine.open(File.dirname(path), File::RDONLY))
    expect(machine.statx(fd, File.basename(path), 0, all)[:ino]).to eq(stat.ino)
  end

  it "follows symbolic links unless told not to" do
    link = "#{path}.link"
    File.symlink(path, link)
    inodes = [0, nofollow].map { |flags| machine.statx(cwd, link, flags, all)[:ino] }
    expect(inodes).to eq([stat.ino, File.lstat(link).ino])
  end

  it "knows devices" do
    expect(machine.statx(cwd, File::NULL, 0, all)[:rdev]).to eq(File.stat(File::NULL).rdev)
  end

  it "raises what the kernel says" do
    expect { machine.statx(cwd, "/no/such/file", 0, all) }.to raise_error(Errno::ENOENT)
    expect { machine.statx(-1, nil, 0, all) }.to raise_error(Errno::EBADF)
    expect { machine.statx(cwd, path, 0, -1) }.to raise_error(Errno::EINVAL)
    expect(pending).to eq(0)
  end

  it "refuses arguments that are none" do
    [[nil, path, 0, 0], [cwd, 1, 0, 0], [cwd, path, nil, 0], [cwd, path, 0, nil]].each do |bad|
      expect { machine.statx(*bad) }.to raise_error(TypeError)
    end
    expect { machine.statx(cwd, "null\0byte", 0, 0) }.to raise_error(ArgumentError)
    expect { machine.statx(cwd, path, 0) }.to raise_error(ArgumentError)
    expect(total_ops).to eq(0)
  end

  it "is interrupted, and leaves nothing behind" do
    path
    fiber = machine.spin { machine.statx(cwd, path, 0, all) }
    machine.snooze
    machine.schedule(fiber, SpecSupport::MachineHelpers::Stop.new)
    expect(machine.join(fiber)).to be_a(SpecSupport::MachineHelpers::Stop)
    expect(pending).to eq(0)
  end

  it "survives garbage collection at any moment", :gc do
    fibers = Array.new(3) { machine.spin { machine.statx(cwd, path, 0, all)[:size] } }
    expect(machine.join(fibers)).to eq([5, 5, 5])
  end
end
