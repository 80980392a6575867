# frozen_string_literal: true

require_relative "../support/machine_helpers"

RSpec.describe UM, "teardown" do
  include SpecSupport::Subprocess

  # Away from the main frame, so that no reference stays behind.
  let(:head) { <<~RUBY }
    $VERBOSE = nil # IO::Buffer is experimental
    require "uringmachine"
    $stdout.sync = true
    def deeply(depth = 50, &block) = depth.zero? ? block.call && nil : deeply(depth - 1, &block)
    # Has fibers read from a silent pipe into the buffers; its other end.
    def read_into(machine, *buffers, submit: true)
      reader, writer = UM.pipe
      buffers.each do |buffer|
        machine.spin { machine.read(reader, buffer, 2048) }
        machine.snooze
      end
      machine.submit if submit
      writer
    end
    def fill(fd) = IO.for_fd(fd, autoclose: false).syswrite("A" * 2048)
  RUBY

  def lines_of(source)
    outcome = ruby_program(head + source)
    expect([outcome.status.exitstatus, outcome.stderr]).to eq([0, ""]), outcome.inspect
    outcome.stdout.lines(chomp: true)
  end

  # What the block leaves to forty machines is no harm to the process' end.
  def expect_clean_end(source)
    expect(lines_of(<<~RUBY)).to eq(["done"])
      KEPT = Array.new(40) do |number|
        machine = UM.new(size: 65)
        #{source}
      end
      puts "done"
    RUBY
  end

  describe "at the end of the process" do
    it "leaves IO::Buffers alone that queued reads would fill" do
      # Made before their machine, or after it.
      expect_clean_end(<<~RUBY)
        buffer = IO::Buffer.new(2048)
        machine = UM.new(size: 65) if number.even?
        fill(read_into(machine, buffer, submit: false))
        [machine, buffer]
      RUBY
    end

    it "takes back IO::Buffers and Strings that reads in flight are to fill" do
      expect_clean_end(<<~RUBY)
        buffer = number.even? ? IO::Buffer.new(2048) : +""
        fill(read_into(machine, buffer))
        [machine, buffer]
      RUBY
    end

    it "ends vectored writes in flight" do
      expect_clean_end(<<~RUBY)
        _, writer = UM.pipe
        machine.write(writer, "x" * 65_536)
        machine.spin { machine.writev(writer, "a" * 100, "b" * 5000, "c" * 100) }
        machine.snooze
        machine.submit
        machine
      RUBY
    end

    it "ends TLS reads in flight, with something to be read" do
      lines = lines_of(<<~RUBY)
        require "openssl"
        require "socket"
        key = OpenSSL::PKey::EC.generate("prime256v1")
        certificate = OpenSSL::X509::Certificate.new
        certificate.public_key = key
        certificate.not_before = Time.now - 60
        certificate.not_after = Time.now + 60
        certificate.sign(key, "SHA256")
        context = OpenSSL::SSL::SSLContext.new
        context.cert = certificate
        context.key = key
        near, far = UNIXSocket.pair
        peer = Thread.new { OpenSSL::SSL::SSLSocket.new(far, context).accept }
        client = OpenSSL::SSL::SSLSocket.new(near, OpenSSL::SSL::SSLContext.new)
        client.connect
        peer.join
        machine = UM.new
        machine.spin { machine.ssl_read(client, +"", 10) }
        machine.snooze
        puts "done"
      RUBY
      expect(lines).to eq(["done"])
    end

    it "comes after what was written without waiting for it" do
      Dir.mktmpdir do |folder|
        lines = lines_of(<<~RUBY)
          machine = UM.new
          fd = machine.open("#{folder}/file", File::CREAT | File::WRONLY)
          machine.write_async(fd, "to a file")
          machine.write_async(1, "to a pipe\n")
        RUBY
        expect([lines, File.read("#{folder}/file")]).to eq([["to a pipe"], "to a file"])
      end
    end

    it "comes after at_exit handlers", :gc do
      lines = lines_of(<<~RUBY)
        machine = UM.new
        reader, writer = UM.pipe
        buffer = +""
        reading = machine.spin { machine.read(reader, buffer, 10) }
        machine.snooze
        at_exit do
          machine.write(writer, "hello")
          p machine.join(reading), buffer
        end
      RUBY
      expect(lines).to eq(["5", '"hello"'])
    end

    it "copes with machines of threads that have ended, and of those that have not" do
      lines = lines_of(<<~RUBY)
        parked = Queue.new
        busy = lambda do
          machine = UM.new
          read_into(machine, IO::Buffer.new(2048))
          parked << machine
          machine
        end
        MACHINES = Array.new(5) { Thread.new(&busy).value }
        5.times { Thread.new { busy.call.yield } }
        5.times { parked.pop }
        puts "done"
      RUBY
      expect(lines).to eq(["done"])
    end
  end

  describe "by the garbage collector" do
    it "gives back what reads in flight had borrowed" do
      lines = lines_of(<<~RUBY)
        KEPT = []
        def busy
          KEPT.push(+"", IO::Buffer.new(2048))
          read_into(UM.new(size: 8), *KEPT.last(2))
          nil
        end
        deeply { 20.times { busy } }
        10.times { |try| deeply(100 * try) { GC.start } }
        strings, buffers = KEPT.partition { |value| value.is_a?(String) }
        # The scan of the stack is conservative: some machine may be kept by chance.
        p strings.count { |string| (string << "a") rescue nil } > 15
        p buffers.count { |buffer| !buffer.locked? } > 15
      RUBY
      expect(lines).to eq(%w[true true])
    end

    it "leaves no lock behind for IO::Buffers to come" do
      lines = lines_of(<<~RUBY)
        def busy
          read_into(UM.new(size: 8), IO::Buffer.new(2048), submit: false)
          nil
        end
        deeply { 40.times { busy } }
        10.times { |try| deeply(100 * try) { GC.start } }
        machine = UM.new
        reader, writer = UM.pipe
        buffers = Array.new(3000) { IO::Buffer.new(10) }
        p(buffers.count do |buffer|
          machine.write(writer, "x")
          machine.read(reader, buffer, 1)
          buffer.locked?
        end)
      RUBY
      expect(lines).to eq(["0"])
    end
  end

  describe "by a fork" do
    it "gives Strings and IO::Buffers back to the child" do
      lines = lines_of(<<~RUBY)
        string = +"before"
        buffer = IO::Buffer.new(2048)
        machine = UM.new
        machine.spin { machine.read(UM.pipe.first, string, 10, -1) }
        read_into(machine, buffer)
        Process.wait(fork { puts(string << " and after", buffer.locked?) })
        p buffer.locked?
      RUBY
      expect(lines).to eq(["before and after", "false", "true"])
    end

    it "closes the child's copy of the ring" do
      lines = lines_of(<<~RUBY)
        machine = UM.new
        rings = -> { Dir.children("/proc/self/fd").count { |fd| File.readlink("/proc/self/fd/" + fd) =~ /io_uring/ rescue nil } }
        Process.wait(fork { p rings.call })
        p rings.call
      RUBY
      expect(lines).to eq(%w[0 1])
    end
  end
end
