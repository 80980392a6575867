# frozen_string_literal: true

# Each connection has a fiber that waits in recv, with a buffer of its own.

require_relative "waiting"

Idle.wait { |machine, fd| machine.recv(fd, +"", 1024, 0) }
