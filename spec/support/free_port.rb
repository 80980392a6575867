# frozen_string_literal: true

require "socket"

module SpecSupport
  # A free port of the loopback interface, kept for a server to listen on: as long as this object
  # lives, the kernel gives the number to nobody who doesn't ask for it.
  #
  # A socket that is bound but doesn't listen does that; SO_REUSEADDR, which Ruby's servers set
  # as well, lets another one bind to the same number.
  class FreePort
    attr_reader :number

    def self.hold
      port = new
      yield port.number
    ensure
      port&.release
    end

    def initialize
      @holder = Socket.new(:INET, :STREAM)
      @holder.setsockopt(:SOCKET, :REUSEADDR, true)
      @holder.bind(Addrinfo.tcp("127.0.0.1", 0))
      @number = @holder.local_address.ip_port
    end

    def release = @holder.close
  end
end
