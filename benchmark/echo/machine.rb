# frozen_string_literal: true

# TCP echo with the machine API: accept_each, and a fiber for each connection that waits in
# one-shot recv and send.

require_relative "serving"

Echo.serve do |machine, fd|
  buffer = String.new(capacity: Echo::BUFFER)
  while (got = machine.recv(fd, buffer, Echo::BUFFER, 0)).positive?
    sent = machine.send(fd, buffer, got, 0)
    while sent < got
      buffer = buffer.byteslice(sent..)
      got -= sent
      sent = machine.send(fd, buffer, got, 0)
    end
  end
end
