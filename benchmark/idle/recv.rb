# frozen_string_literal: true

# The machine API: each connection has a fiber that waits in recv.

require_relative "common"

def serve(machine, fd)
  machine.recv(fd, +"", 1024, 0)
end

machine = UM.new
server = Idle.listen

Idle.measure(server) do
  Idle::COUNT.times do
    fd = machine.accept(server.fileno)
    machine.spin { serve(machine, fd) }
  end
  # The last ones get to their recv, and the kernel gets it.
  machine.snooze
  machine.submit
  waiting = machine.metrics[:ops_pending]
  abort "#{waiting} of #{Idle::COUNT} fibers wait" unless waiting == Idle::COUNT
end
