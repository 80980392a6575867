# frozen_string_literal: true

# Each connection has a UM::IO and a fiber that has read a line from it, and waits for the next.

require_relative "waiting"

Idle.wait { |machine, fd| abort "unexpected" if machine.io(fd).read_line(0) }
