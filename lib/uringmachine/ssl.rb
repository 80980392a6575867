# frozen_string_literal: true

class UringMachine
  # How an `OpenSSL::SSL::SSLSocket` waits that {UringMachine#ssl_set_bio} was called for: in the
  # machine, so that other fibers run. The methods on top of these (`gets`, `read`, `puts`, `each`, …)
  # follow. `IO#timeout` of the socket has no effect on them, {UringMachine#timeout} has.
  module SSLMethods
    # Does the client's part of the handshake.
    # @return [self]
    def connect = um_wait { connect_nonblock(exception: false) }

    # Does the server's part of the handshake.
    # @return [self]
    def accept = um_wait { accept_nonblock(exception: false) }

    # @param length [Integer] most bytes to read
    # @param buffer [String, nil] where they go
    # @return [String] some bytes
    # @raise [EOFError] at the end
    def sysread(length, buffer = nil)
      um_wait { sysread_nonblock(length, buffer, exception: false) } || raise(EOFError, "end of file reached")
    end

    # @param string [String] what to write
    # @return [Integer] the number of bytes written
    def syswrite(string) = um_wait { syswrite_nonblock(string, exception: false) }

    private

    def um_wait
      loop do
        case result = yield
        when :wait_readable then @__um_machine__.poll(to_io.fileno, ::IO::READABLE)
        when :wait_writable then @__um_machine__.poll(to_io.fileno, ::IO::WRITABLE)
        else return result
        end
      end
    end
  end
end
