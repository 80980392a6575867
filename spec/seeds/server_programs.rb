# frozen_string_literal: true

require_relative "../support/free_port"
require_relative "../support/tcp_clients"

# Runs the programs of a text as programs of their own: each is written to a file as it was
# printed, and only the port numbers in it are replaced.
module ServerPrograms
  include SpecSupport::TCPClients

  # Runs a server with a free port in place of `printed_port`, yields the port and the program
  # once it listens, and ends it.
  def serve(source, printed_port: 1234, replace: {})
    SpecSupport::FreePort.hold do |port|
      numbers = { printed_port => port, **replace }
      source = numbers.reduce(source) { |text, (old, new)| text.gsub(/\b#{old}\b/, new.to_s) }
      with_program(source, []) do |program|
        wait_until_listening(program, port)
        yield port, program
      end
    end
  end

  private

  def wait_until_listening(program, port)
    limit = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 10
    until listening?(port)
      ended = program.wait(0.01)
      late = Process.clock_gettime(Process::CLOCK_MONOTONIC) > limit
      raise "the server does not listen; #{program.report}" if ended || late
    end
  end
end
