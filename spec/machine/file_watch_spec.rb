# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "#file_watch" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:root) { Dir.mktmpdir("polyphony-spec") }
  let(:seen) { [] }
  let(:changes) { UM::IN_CREATE | UM::IN_DELETE | UM::IN_CLOSE_WRITE | UM::IN_MOVE }

  after { FileUtils.rm_rf(root) }

  def path(*names) = File.join(root, *names)

  # A fiber that collects events as [mask, path below root].
  def watching(mask = changes, top = root)
    parked do
      machine.file_watch(top, mask) { |event| seen << [event[:mask], event[:fn].delete_prefix("#{root}/")] }
    end
  end

  # The next events, and that there are no more.
  def events(count)
    soon { machine.sleep(0.001) until seen.size >= count }
    snooze
    seen.shift(seen.size)
  end

  def write(*names) = File.write(path(*names), "x")

  # Waits until so many paths are watched.
  def settle_at(count) = soon { machine.sleep(0.001) until watches(inotify_fds.first) == count }

  def watches(fd) = File.readlines("/proc/self/fdinfo/#{fd}").grep(/\Ainotify/).size

  def inotify_fds
    SpecSupport::DescriptorTable.current.select { |_, target| target == "anon_inode:inotify" }.map(&:first)
  end

  it "yields what happens to files of a folder", :gc do
    watching
    write("file")
    File.rename(path("file"), path("other"))
    File.unlink(path("other"))
    expect(events(5)).to eq(
      [[UM::IN_CREATE, "file"], [UM::IN_CLOSE_WRITE, "file"], [UM::IN_MOVED_FROM, "file"],
       [UM::IN_MOVED_TO, "other"], [UM::IN_DELETE, "other"]]
    )
  end

  it "yields Hashes, or keywords" do
    machine.spin { machine.file_watch(root, UM::IN_CREATE) { |mask:, fn:| seen << [mask, fn] } }
    machine.spin { machine.file_watch(root, UM::IN_CREATE) { |event| seen << event } }
    snooze
    write("file")
    event = { mask: UM::IN_CREATE, fn: path("file") }
    expect(events(2)).to contain_exactly(event.values, event)
  end

  it "follows folders that were there" do
    FileUtils.mkdir_p(path("a", "b", ".hidden"))
    watching
    write("a", "b", ".hidden", "file")
    expect(events(2).map(&:last).uniq).to eq(["a/b/.hidden/file"])
  end

  it "follows a new folder once its event was yielded" do
    paths = []
    parked do
      machine.file_watch(root, UM::IN_CREATE) do |event|
        paths << event[:fn].delete_prefix("#{root}/")
        # Not seen: the folder is not watched yet.
        write("new", "early") if paths == ["new"]
      end
    end
    Dir.mkdir(path("new"))
    soon { machine.sleep(0.001) until paths.size == 1 }
    snooze
    write("new", "late")
    soon { machine.sleep(0.001) until paths.size == 2 }
    expect(paths).to eq(["new", "new/late"])
  end

  it "watches folders that came into a new folder before it was watched" do
    watching(UM::IN_CLOSE_WRITE)
    FileUtils.mkdir_p(path("a", "b", "c"))
    settle_at(4)
    write("a", "b", "c", "file")
    expect(events(1)).to eq([[UM::IN_CLOSE_WRITE, "a/b/c/file"]])
  end

  it "yields nothing that was not asked for" do
    watching(UM::IN_DELETE)
    Dir.mkdir(path("new"))
    settle_at(2)
    write("new", "file")
    File.unlink(path("new", "file"))
    expect(events(1)).to eq([[UM::IN_DELETE, "new/file"]])
  end

  it "drops the watches of folders that are gone, and watches new ones of that name" do
    watching(UM::IN_CREATE)
    fd, = inotify_fds
    2.times do |turn|
      Dir.mkdir(path("folder"))
      events(1)
      write("folder", "file")
      expect(events(1)).to eq([[UM::IN_CREATE, "folder/file"]])
      expect(watches(fd)).to eq(2), "turn #{turn}"
      FileUtils.rm_r(path("folder"))
      expect(watches(fd)).to eq(1)
    end
  end

  it "knows the new path of a folder that was moved in the tree" do
    FileUtils.mkdir_p(path("old", "below"))
    watching(UM::IN_CREATE | UM::IN_MOVE)
    File.rename(path("old"), path("new"))
    folder = UM::IN_ISDIR
    expect(events(2)).to eq([[UM::IN_MOVED_FROM | folder, "old"], [UM::IN_MOVED_TO | folder, "new"]])
    write("new", "below", "file")
    expect(events(1)).to eq([[UM::IN_CREATE, "new/below/file"]])
  end

  it "forgets a folder that was moved out of the tree" do
    outside = Dir.mktmpdir("polyphony-spec")
    FileUtils.mkdir_p(path("old", "below"))
    watching(UM::IN_CREATE | UM::IN_MOVED_FROM)
    File.rename(path("old"), File.join(outside, "old"))
    expect(events(1).map(&:last)).to eq(["old"])
    File.write(File.join(outside, "old", "below", "file"), "x")
    write("file")
    expect(events(1)).to eq([[UM::IN_CREATE, "file"]])
  ensure
    FileUtils.remove_entry(outside)
  end

  it "does not follow symbolic links" do
    outside = Dir.mktmpdir("polyphony-spec")
    File.symlink(outside, path("there"))
    watching(UM::IN_CREATE)
    File.symlink(outside, path("later"))
    expect(events(1).map(&:last)).to eq(["later"])
    File.write(File.join(outside, "file"), "x")
    write("own")
    expect(events(1).map(&:last)).to eq(["own"])
  ensure
    FileUtils.remove_entry(outside)
  end

  it "watches a single file" do
    write("file")
    watching(UM::IN_CLOSE_WRITE | UM::IN_DELETE_SELF, path("file"))
    write("file")
    write("another")
    expect(events(1)).to eq([[UM::IN_CLOSE_WRITE, "file"]])
  end

  it "takes a relative path, and gives the full one" do
    Dir.chdir(root) { watching(UM::IN_CREATE, ".") }
    write("file")
    expect(events(1)).to eq([[UM::IN_CREATE, "file"]])
  end

  it "says so when the kernel has dropped events, and sees the folders that were made meanwhile" do
    limit = Integer(File.read("/proc/sys/fs/inotify/max_queued_events"))
    watching(UM::IN_CREATE)
    # Of events that are alike in a row the kernel keeps one.
    limit.succ.times { |turn| File.write(path("file#{turn}"), "") }
    Dir.mkdir(path("new"))
    soon { machine.sleep(0.001) until seen.any? { |mask, _| mask == UM::IN_Q_OVERFLOW } }
    expect(seen.last).to eq([UM::IN_Q_OVERFLOW, root])
    seen.clear
    snooze
    write("new", "file")
    expect(events(1)).to eq([[UM::IN_CREATE, "new/file"]])
  end

  describe "at its end" do
    after { expect(inotify_fds).to be_empty }

    it "closes its descriptor when its block raises or breaks" do
      write_later = -> { machine.spin { write("file") && File.unlink(path("file")) } }
      write_later.call
      expect { machine.file_watch(root, UM::IN_CREATE) { raise stop } }.to raise_error(stop)
      write_later.call
      expect(machine.file_watch(root, UM::IN_CREATE) { break :out }).to eq(:out)
    end

    it "does not take StopIteration for an end" do
      machine.spin { write("file") }
      expect { machine.file_watch(root, UM::IN_CREATE) { raise StopIteration } }.to raise_error(StopIteration)
    end

    it "closes its descriptor at a timeout, an exception and a termination" do
      error = error_of { machine.timeout(0.005, stop) { machine.file_watch(root, UM::IN_CREATE) { nil } } }
      expect(error).to be_a(stop)
      fibers = Array.new(2) { watching }
      machine.schedule(fibers[0], stop.new)
      machine.terminate(fibers[1])
      expect(machine.join(fibers)).to match([be_a(stop), be_a(UM::Terminate)])
    end

    it "returns the value that its fiber is scheduled with" do
      fiber = watching
      machine.schedule(fiber, :value)
      expect(machine.join(fiber)).to eq(:value)
    end

    it "raises what is wrong with its arguments" do
      watch = ->(*arguments) { machine.file_watch(*arguments) { nil } }
      expect { watch.call("/no/such/folder", UM::IN_CREATE) }.to raise_error(Errno::ENOENT)
      expect { watch.call(nil, UM::IN_CREATE) }.to raise_error(TypeError)
      expect { watch.call(root, nil) }.to raise_error(TypeError)
      expect { watch.call(root, 0) }.to raise_error(ArgumentError)
      expect { machine.file_watch(root, UM::IN_CREATE) }.to raise_error(LocalJumpError)
    end

    it "refuses the machine of another thread" do
      own = machine
      error = Thread.new { error_of { own.file_watch("/tmp", UM::IN_CREATE) { nil } } }.value
      expect(error).to be_a(UM::Error)
    end
  end
end
