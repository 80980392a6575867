# frozen_string_literal: true

require "socket"
require "tempfile"

module SpecSupport
  # Examples of Polyphony in this process.
  #
  # It is loaded without the root fiber's rule, which changes core methods for every spec in this
  # process (spec/polyphony/root_fiber_spec.rb runs programs of their own for that), and in a
  # thread that ends at once, so that the thread of the other specs gets no scheduler.
  #
  # Examples tagged `:polyphony` run in a thread of their own with a scheduler, as a program does
  # after `require "polyphony"`; when they end, so do the fibers that they have left.
  module InPolyphony
    module_function

    def load
      before = ENV.fetch("POLYPHONY_ROOT_FIBER", nil)
      ENV["POLYPHONY_ROOT_FIBER"] = "0"
      Thread.new { require "polyphony" }.join
    ensure
      ENV["POLYPHONY_ROOT_FIBER"] = before
    end

    def install(config)
      config.around(:each, :polyphony) { |example| InPolyphony.in_thread { example.run } }
      config.include self, :polyphony
    end

    # RSpec keeps what it knows of the running example in the thread.
    def in_thread(&block)
      rspec = RSpec::Support.thread_local_data
      thread = Thread.new do
        Thread.current.report_on_exception = false
        RSpec::Support.thread_local_data.merge!(rspec)
        Polyphony.enter_thread
        block.call
      end
      thread.join
    end

    # Interrupts the block after some seconds.
    def interrupt_after(seconds, &) = Polyphony.machine.timeout(seconds, Interrupted, &)

    # What {#interrupt_after} raises.
    class Interrupted < StandardError; end

    def tcp_pair
      server = TCPServer.new("127.0.0.1", 0)
      connecting = spin { TCPSocket.new("127.0.0.1", server.local_address.ip_port) }
      accepted = spin { server.accept }
      Fiber.await(connecting, accepted)
    ensure
      server&.close
    end

    def temporary_file(content = "")
      file = Tempfile.new("polyphony-spec", binmode: true)
      file.write(content)
      file.close
      @temporary_files = [*@temporary_files, file] # they are deleted with these objects
      File.open(file.path, "r+b")
    end

    def random_bytes(count, seed = count) = Random.new(seed).bytes(count)

    def open_descriptors = Dir.children("/proc/self/fd").size
  end
end

SpecSupport::InPolyphony.load
RSpec.configure { |config| SpecSupport::InPolyphony.install(config) }
