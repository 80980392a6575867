# frozen_string_literal: true

require_relative "../support/machine_helpers"

# docs/design/errors.md: UM::Error where bytes are wanted, as uringmachine's tests have it, and
# TypeError for everything else, before an operation is made.
RSpec.describe UM, "arguments of a wrong type" do
  include SpecSupport::MachineHelpers

  queue = described_class::Queue.new
  # Arguments of the right type; `bytes` stands for a buffer.
  bytes = :bytes
  calls = {
    read: [0, bytes, 1, 0, 0], write: [1, bytes, 1, 0], writev: [1, bytes, bytes],
    write_async: [1, bytes, 1, 0], recv: [0, bytes, 1, 0], send: [1, bytes, 1, 0], sendv: [1, bytes, bytes],
    open: [File::NULL, 0], close: [0], close_async: [0], fsync: [1], statx: [0, "/", 0, 0],
    splice: [0, 1, 1], tee: [0, 1, 1], poll: [0, 1], select: [[], [], []],
    socket: [1, 1, 0, 0], bind: [0, "::1", 1], listen: [0, 1], connect: [0, "::1", 1], accept: [0],
    accept_into_queue: [0, queue], shutdown: [0, 1], shutdown_async: [0, 1],
    setsockopt: [0, 1, 1, 1], getsockopt: [0, 1, 1], send_fd: [0, 1], recv_fd: [0],
    tcp_connect: ["::1", 1], tcp_listen: ["::1", 1], resolve: ["localhost"], waitid: [0, 0, 0],
    inotify_get_events: [0], read_each: [0], recv_each: [0, 0], accept_each: [0], io: [0],
    sleep: [1], timeout: [1], periodically: [1], prep_timeout: [1],
    pop: [queue], shift: [queue], push: [queue], unshift: [queue], synchronize: [described_class::Mutex.new],
    schedule: [Fiber.current], terminate: [Fiber.current], join: [Fiber.current], await: [Fiber.current]
  }
  # What may be anything.
  anything = { schedule: [1], timeout: [1], push: [1], unshift: [1] }

  calls.each do |name, arguments|
    arguments.each_index do |index|
      wanted = arguments[index] == bytes ? described_class::Error : TypeError

      it "are refused with #{wanted} by #{name}, as argument #{index + 1}" do
        before = machine.metrics.values_at(:total_ops, :ops_pending, :ops_free)
        given = arguments.map { |argument| argument == bytes ? +"text" : argument }
        given[index] = Object.new
        given.concat(anything.fetch(name, []))
        expect { machine.public_send(name, *given) { raise "called" } }.to raise_error(wanted)
        expect(machine.metrics.values_at(:total_ops, :ops_pending, :ops_free)).to eq(before)
      end
    end
  end

  it "are named" do
    expect { machine.write(1, [1]) }
      .to raise_error(described_class::Error, "buffer must be a String or an IO::Buffer, not Array")
    expect { machine.read($stdin, +"", 1) }.to raise_error(TypeError, /must be an Integer, not IO\z/)
  end

  # An IO where a descriptor is wanted is what a first program gets wrong.
  it "are named where a descriptor or an SSLSocket is wanted, also without OpenSSL" do
    outcome = ruby_program(<<~RUBY)
      require "uringmachine"
      machine = UM.new
      [-> { machine.io($stdin) }, -> { machine.ssl_read($stdin, +"", 1) }, -> { machine.ssl_set_bio(nil) }].each do |call|
        call.call
      rescue TypeError => e
        puts e.message
      end
      p defined?(OpenSSL)
    RUBY
    expect(outcome.stdout).to eq(<<~TEXT), outcome.to_s
      a descriptor or an OpenSSL::SSL::SSLSocket is needed, not IO
      an OpenSSL::SSL::SSLSocket is needed, not IO (require "openssl" first)
      an OpenSSL::SSL::SSLSocket is needed, not NilClass (require "openssl" first)
      nil
    TEXT
  end

  it "such as nil for an interval are no matter of its size" do
    expect { machine.periodically(nil) { raise "called" } }.to raise_error(TypeError, /interval/)
  end
end
