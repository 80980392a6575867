# frozen_string_literal: true

require_relative "machine_helpers"

module SpecSupport
  # A connection whose first end the machine reads requests from, and whose other end is the
  # client. To be included together with MachineHelpers.
  module HTTPPeers
    def self.included(group)
      group.let(:ends) { socketpair }
      group.let(:io) { open_io(*ends, :socket) }
      # What is still being received would be an op that is left.
      group.after { @um_ios&.each(&:clear) }
    end

    # A UM::IO on the first end of a connection; the other one is the client's from now on.
    def open_io(fd, other, mode = :socket, klass: described_class)
      @peer = other
      klass.new(machine, fd, mode).tap { (@um_ios ||= []) << _1 }
    end

    def peer
      io unless @peer
      @peer
    end

    # The client sends; bare line feeds become line ends.
    def send_lines(text) = send_raw(text.gsub("\n", "\r\n"))

    def send_raw(bytes) = as_socket(peer).write(bytes)

    # A request with these lines behind the first one, and a body.
    def send_request(line = "GET / HTTP/1.1", *headers, body: "")
      send_raw("#{[line, "Host: a", *headers].join("\r\n")}\r\n\r\n#{body}")
    end

    # The client ends.
    def hang_up = as_socket(peer).shutdown(:WR)

    # What the server has sent since the last time.
    def received
      got = as_socket(peer).read_nonblock(1_000_000, exception: false)
      got == :wait_readable ? "" : got
    end

    def read_head(...) = soon { io.http_read_request_headers(...) }

    def read_body(...) = soon { io.http_read_body(nil, ...) }

    # `[status, message]` of what is refused in the block.
    def refusal
      yield
      nil
    rescue UM::IO::HTTPError => e
      [e.status, e.message]
    end
  end
end
