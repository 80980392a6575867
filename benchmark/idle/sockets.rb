# frozen_string_literal: true

# Open sockets, no fibers: bare descriptors, accepted by the machine.

require_relative "common"

machine = UM.new
server = Idle.listen

Idle.measure(server) { Idle::COUNT.times { machine.accept(server.fileno) } }
