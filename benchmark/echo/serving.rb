# frozen_string_literal: true

# What the echo servers of the machine API share: a fiber for each connection.

require "uringmachine"
require_relative "common"

module Echo
  # Calls the block with the machine and the descriptor of each connection, which is closed
  # afterwards.
  def self.serve(&)
    machine = UM.new
    server = listen
    machine.spin do
      machine.accept_each(server.fileno) { |fd| machine.spin { converse(machine, fd, &) } }
    end
    machine.read($stdin.fileno, +"", 1)
    exit!(0)
  end

  def self.converse(machine, fd)
    yield machine, fd
  rescue SystemCallError
    # The client is gone.
  ensure
    machine.close(fd)
  end
  private_class_method :converse
end
