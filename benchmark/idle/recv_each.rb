# frozen_string_literal: true

# Each connection has a fiber that waits in recv_each, which takes buffers from the machine's pool.

require_relative "waiting"

Idle.wait { |machine, fd| machine.recv_each(fd, 0) { |message| abort "unexpected: #{message.inspect}" } }
