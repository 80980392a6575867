# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "splice and tee" do
  include SpecSupport::MachineHelpers

  # Pipes of Ruby's don't block: the kernel says EAGAIN where it would have waited.
  let(:source) { IO.pipe }
  let(:sink) { IO.pipe }
  let(:from) { source.first.fileno }
  let(:into) { sink.last.fileno }

  def fill(writer)
    nil until writer.write_nonblock("x" * 4096, exception: false) == :wait_writable
  end

  %i[splice tee].each do |method|
    it "#{method} waits for data of a pipe that doesn't block" do
      fiber = parked { machine.__send__(method, from, into, 100) }
      source.last << "hello"
      expect([soon { machine.join(fiber) }, sink.first.readpartial(100)]).to eq([5, "hello"])
    end

    it "#{method} waits for room in a pipe that doesn't block" do
      fill(sink.last)
      source.last << "hello"
      fiber = parked { machine.__send__(method, from, into, 100) }
      sink.first.readpartial(65_536)
      expect(soon { machine.join(fiber) }).to eq(5)
    end

    it "#{method} can be interrupted in that, and leaves nothing" do
      expect { machine.timeout(0.001, IOError) { machine.__send__(method, from, into, 1) } }
        .to raise_error(IOError)
      expect(machine.timeout(0.001, :late) { machine.__send__(method, from, into, 1) }).to eq(:late)
      expect(pending_after_a_turn).to eq(0)
    end

    it "#{method} ends with EBADF when an end is closed in that" do
      own = source.first.tap { |io| io.autoclose = false }.fileno
      fiber = parked { error_of { machine.__send__(method, own, into, 1) } }
      machine.close(own)
      expect(soon { machine.join(fiber) }).to be_a(Errno::EBADF)
    end

    it "#{method} gives 0 at the end" do
      source.last.close
      expect(machine.__send__(method, from, into, 1)).to eq(0)
    end
  end
end
