# frozen_string_literal: true

# Connections of the machine API, with a fiber for each.

require_relative "common"

module Idle
  module_function

  # The block waits on a connection.
  def wait(&block)
    machine = UM.new
    server = listen
    measure(server) do
      COUNT.times do
        fd = machine.accept(server.fileno)
        machine.spin { block.call(machine, fd) }
      end
      # The last ones get to their wait, and the kernel gets the op.
      machine.snooze
      machine.submit
      pending = machine.metrics[:ops_pending]
      abort "#{pending} of #{COUNT} fibers wait" unless pending == COUNT
    end
  end
end
