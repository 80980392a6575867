# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "inotify" do
  include SpecSupport::MachineHelpers

  let(:stop) { SpecSupport::MachineHelpers::Stop }
  let(:folder) { Dir.mktmpdir("polyphony-spec") }
  let(:fd) { keep(UM.inotify_init) }

  after { FileUtils.rm_rf(folder) }

  def watch(mask = UM::IN_CREATE) = UM.inotify_add_watch(fd, folder, mask)

  def touch(name) = File.write(File.join(folder, name), "")

  describe ".inotify_init and .inotify_add_watch" do
    it "number watches from 1 on, one for each path" do
      expect([watch, watch, UM.inotify_add_watch(fd, "/tmp", UM::IN_CREATE)]).to eq([1, 1, 2])
      expect(as_io(fd).close_on_exec?).to be(true)
    end

    it "take masks of 32 bits" do
      expect(watch(UM::IN_CREATE | UM::IN_ONESHOT)).to eq(1)
    end

    it "raise what the kernel says" do
      expect { UM.inotify_add_watch(-1, folder, 1) }.to raise_error(Errno::EBADF)
      expect { watch(0) }.to raise_error(Errno::EINVAL)
      expect { UM.inotify_add_watch(fd, "/no/such/file", 1) }.to raise_error(Errno::ENOENT)
    end

    it "refuse what is no path or mask" do
      expect { UM.inotify_add_watch(fd, nil, 1) }.to raise_error(TypeError)
      expect { UM.inotify_add_watch(fd, "a\0b", 1) }.to raise_error(ArgumentError)
      expect { watch("1") }.to raise_error(TypeError)
      [-1, 1 << 32].each { |mask| expect { watch(mask) }.to raise_error(RangeError) }
    end
  end

  describe "#inotify_get_events" do
    it "gives what has happened", :gc do
      wd = watch(UM::IN_CREATE | UM::IN_DELETE)
      touch("one")
      Dir.mkdir(File.join(folder, "two"))
      File.unlink(File.join(folder, "one"))
      expect(machine.inotify_get_events(fd)).to eq(
        [{ wd:, mask: UM::IN_CREATE, name: "one" }, { wd:, mask: UM::IN_CREATE | UM::IN_ISDIR, name: "two" },
         { wd:, mask: UM::IN_DELETE, name: "one" }]
      )
    end

    it "waits for the first event", :gc do
      wd = watch
      fiber = parked { machine.inotify_get_events(fd) }
      touch("file")
      expect(soon { machine.join(fiber) }).to eq([{ wd:, mask: UM::IN_CREATE, name: "file" }])
    end

    it "gives no name for the watched path itself" do
      wd = watch(UM::IN_DELETE_SELF)
      Dir.rmdir(folder)
      masks = [UM::IN_DELETE_SELF, UM::IN_IGNORED]
      expect(machine.inotify_get_events(fd)).to eq(masks.map { |mask| { wd:, mask:, name: nil } })
    end

    it "gives names in the file system's encoding" do
      watch
      names = ["grün", "x" * 255]
      names.each { |name| touch(name) }
      seen = machine.inotify_get_events(fd).map { |event| event[:name] }
      expect(seen.map(&:b)).to eq(names.map(&:b))
      expect(seen.map(&:encoding)).to all(eq(Encoding.find("filesystem")))
    end

    it "gives all of many events, in several turns" do
      watch
      names = Array.new(500) { |number| "a name of some length #{number}" }
      names.each { |name| touch(name) }
      seen = []
      seen.concat(machine.inotify_get_events(fd)) while seen.size < 500
      expect(seen.map { |event| event[:name] }).to eq(names)
    end

    it "works on a blocking descriptor" do
      as_io(fd).nonblock = false
      watch
      fibers = Array.new(2) { parked { machine.inotify_get_events(fd) } }
      2.times do |number|
        touch("file#{number}")
        soon { machine.sleep(0.001) until fibers.count(&:done?) == number + 1 }
      end
      expect(machine.join(fibers).map { |events| events.first[:name] }).to match_array(%w[file0 file1])
    end

    it "loses nothing when it is interrupted" do
      watch
      expect { machine.timeout(0.005, stop) { machine.inotify_get_events(fd) } }.to raise_error(stop)
      fiber = parked { machine.inotify_get_events(fd) }
      touch("file")
      machine.schedule(fiber, stop.new)
      expect(machine.join(fiber)).to be_a(stop)
      expect(machine.inotify_get_events(fd).map { |event| event[:name] }).to eq(["file"])
    end

    it "returns the value that its fiber is scheduled with" do
      fiber = parked { machine.inotify_get_events(fd) }
      machine.schedule(fiber, :value)
      expect(machine.join(fiber)).to eq(:value)
    end

    it "ends when the descriptor is closed" do
      fiber = parked { machine.inotify_get_events(fd) }
      close(fd)
      expect(soon { machine.join(fiber) }).to be_a(Errno::EBADF)
    end

    it "raises for what is no inotify descriptor" do
      reader, writer = pipe
      machine.write(writer, "x" * 50)
      plain = keep(machine.open(file, UM::O_RDONLY))
      expect { machine.inotify_get_events(reader) }.to raise_error(Errno::EINVAL)
      expect { machine.inotify_get_events(plain) }.to raise_error(Errno::EINVAL)
      expect { machine.inotify_get_events(-1) }.to raise_error(Errno::EBADF)
      expect { machine.inotify_get_events(nil) }.to raise_error(TypeError)
      expect(pending).to eq(0)
    end

    it "counts as one op, waiting or not" do
      watch
      touch("one")
      machine.inotify_get_events(fd)
      expect(total_ops).to eq(1)
      machine.spin { touch("two") }
      machine.inotify_get_events(fd)
      expect(total_ops).to eq(2)
    end
  end
end
