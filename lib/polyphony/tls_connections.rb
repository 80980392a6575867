# frozen_string_literal: true

module Polyphony
  # Connections of a TLS server that were accepted and that nobody has got yet: they outlive the
  # loop that has accepted them, and are closed with the server.
  # @private
  class TLSConnections
    def initialize
      @ready = []
      @unfinished = []
      @listeners = []
    end

    # Has a queue told, by anything that is pushed to it, that there may be something to take.
    def tell(queue)
      @listeners << queue
      yield
    ensure
      @listeners.delete(queue)
    end

    # One that has shaken hands.
    def add_ready(socket)
      @ready << socket
      announce
    end

    # One that has not, or not to the end: its handshake goes on where it was.
    def add_unfinished(socket)
      @unfinished << socket
      announce
    end

    # @return [OpenSSL::SSL::SSLSocket, nil]
    def take_ready = @ready.shift

    # @return [OpenSSL::SSL::SSLSocket, nil]
    def take_unfinished = @unfinished.shift

    # Closes them all.
    def close
      [@ready, @unfinished].each { |sockets| sockets.shift.close until sockets.empty? }
      announce
    end

    private

    def announce
      @listeners.each { |queue| Polyphony.machine.push(queue, nil) }
    end
  end
end
