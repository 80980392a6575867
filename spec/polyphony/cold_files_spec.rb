# frozen_string_literal: true

require_relative "../support/polyphony"

# A file that isn't in memory is read by the kernel's workers while the other fibers run; one that
# is goes out at once.
RSpec.describe "transfers of cold files", :polyphony do
  before do
    skip "no cachestat(2) here: every file counts as cold" unless UM.capabilities[:cachestat]
  end

  # A file on a disk: tmp may be memory.
  def file_on_disk(bytes)
    file = Tempfile.create("polyphony-cold", "/var/tmp")
    @files = [*@files, file.path]
    file.binmode
    file.write(bytes)
    file.fdatasync
    file.rewind
    file
  end

  def cold(file)
    file.advise(:dontneed)
    skip "the pages of files stay in memory here" if cached_bytes(file).positive?
    file
  end

  def cached_bytes(file)
    Integer(IO.popen(["fincore", "--noheadings", "--bytes", "--output", "RES", file.path], &:read))
  rescue Errno::ENOENT
    skip "no fincore (util-linux) here"
  end

  def in_memory(bytes)
    file_on_disk(bytes).tap do |file|
      file.read
      file.rewind
    end
  end

  # The kernel may take a page back at any time, but hardly each time.
  def ops_of_rounds(&) = Array.new(3, &)

  def no_worker = satisfy("no worker") { |ops| !ops.include?(:splice) }

  after { @files&.each { |path| File.delete(path) } }

  # Names of the ops in flight whenever another fiber had a turn, until the transfer was over.
  def ops_during(&)
    moving = spin(&)
    ops = []
    until moving.done?
      snooze
      ops.concat(Polyphony.machine.pending.map(&:op))
    end
    moving.await
    ops.uniq
  end

  let(:mebibyte) { 1024 * 1024 }
  let(:data) { random_bytes(8 * mebibyte) }

  # name => from the file
  ways = {
    "IO.double_splice to a socket" => ->(file, near) { IO.double_splice(file, near) },
    "IO.http1_splice_chunked" => ->(file, near) { IO.http1_splice_chunked(file, near, 1 << 20) }
  }

  ways.each do |name, way|
    it "#{name} leaves a cold file's reading to a worker" do
      file = cold(file_on_disk(data))
      near, far = UNIXSocket.pair
      received = spin { far.read }
      expect(ops_during { way.call(file, near) && near.close }).to include(:splice)
      expect(received.await.bytesize).to be >= data.bytesize
    end

    it "#{name} needs none for a file in memory" do
      file = in_memory(data)
      expect(ops_of_rounds do
        file.rewind
        near, far = UNIXSocket.pair
        received = spin { far.read }
        seen = ops_during { way.call(file, near) && near.close }
        expect(received.await.bytesize).to be >= data.bytesize
        seen
      end).to include(no_worker)
    end
  end

  it "IO.splice into a pipe does the same" do
    reader, writer = IO.pipe
    spin { loop { reader.readpartial(mebibyte) } }
    warm = in_memory(data)
    expect(ops_of_rounds { ops_during { IO.splice(warm.tap(&:rewind), writer) } }).to include(no_worker)
    expect(ops_during { IO.splice(cold(file_on_disk(data)), writer) }).to include(:splice)
  end

  it "sends a file of which a part is cold with all its bytes in order" do
    file = file_on_disk(data)
    cold(file)
    File.open(file.path) { |other| other.pread(mebibyte, 3 * mebibyte) }
    near, far = tcp_pair
    received = spin { far.read }
    expect(IO.double_splice(file, near)).to eq(data.bytesize)
    near.close
    expect(received.await == data).to be(true)
  end
end
