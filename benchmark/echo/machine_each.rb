# frozen_string_literal: true

# TCP echo with the machine API and a multishot receive: a fiber for each connection in recv_each,
# which sends back each String that it gets.

require_relative "serving"

Echo.serve do |machine, fd|
  machine.recv_each(fd, 0) do |message|
    sent = machine.send(fd, message, -1, 0)
    while sent < message.bytesize
      message = message.byteslice(sent..)
      sent = machine.send(fd, message, -1, 0)
    end
  end
end
