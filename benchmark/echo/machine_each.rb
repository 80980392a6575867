# frozen_string_literal: true

# TCP echo with the machine API and a multishot receive: a fiber for each connection in recv_each,
# which sends back each String that it gets.

require "uringmachine"
require_relative "common"

def echo(machine, fd)
  machine.recv_each(fd, 0) do |message|
    sent = machine.send(fd, message, -1, 0)
    while sent < message.bytesize
      message = message.byteslice(sent..)
      sent = machine.send(fd, message, -1, 0)
    end
  end
rescue SystemCallError
  # The client is gone.
ensure
  machine.close(fd)
end

machine = UM.new
server = Echo.listen

machine.spin do
  machine.accept_each(server.fileno) { |fd| machine.spin { echo(machine, fd) } }
end

machine.read($stdin.fileno, +"", 1)
exit!(0)
