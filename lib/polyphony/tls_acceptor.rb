# frozen_string_literal: true

module Polyphony
  # One `accept_loop` of a TLS server: accepts and shakes hands while the loop waits. Handshakes go
  # on at the same time, also while the block runs; nothing new is accepted then.
  # @private
  class TLSAcceptor
    # Most handshakes that are begun together: those that end while the block runs wait for it.
    ABREAST = 16
    # Seconds after which handshakes of which none has ended count no more among those. So clients
    # that say nothing keep nobody out.
    PATIENCE = 0.1
    # Most handshakes at all.
    MOST = 1024
    # A socket whose handshake goes on; `slow`: it has kept others out for long enough.
    Handshake = Struct.new(:socket, :slow)
    private_constant :ABREAST, :PATIENCE, :MOST, :Handshake

    # @param server [OpenSSL::SSL::SSLServer]
    # @param connections [TLSConnections] the server's
    # @yieldparam plain [BasicSocket] to be made an SSLSocket
    def initialize(server, connections, ignore_errors:, &wrap)
      @server = server
      @connections = connections
      @ignore_errors = ignore_errors
      @wrap = wrap
      @machine = Polyphony.machine
      @events = UringMachine::Queue.new
      @handshakes = {}.compare_by_identity # by the fiber
    end

    # Yields connections until the server is shut down or closed.
    def each
      @connections.tell(@events) do
        while (socket = next_socket)
          yield socket
        end
      end
    ensure
      leave
    end

    private

    def next_socket
      accepting = nil
      loop do
        socket = @connections.take_ready
        return socket if socket

        continue_handshakes
        accepting = spin { accept(room) } if room.positive? && (accepting.nil? || accepting.dead?)
        event = next_event
        return if event == :over
        raise event if event.is_a?(Exception)
      end
    ensure
      stop([accepting]) if accepting
    end

    # How many handshakes may begin.
    def room
      [ABREAST - @handshakes.each_value.count { |one| !one.slow }, MOST - @handshakes.size].min
    end

    # Accepts at most so many connections.
    def accept(count)
      full = @server.to_io.accept_loop do |plain|
        @connections.add_unfinished(@wrap.call(plain))
        break true if (count -= 1).zero?
      end
      @machine.push(@events, :over) unless full
    rescue StandardError => e
      @machine.push(@events, @server.closed? ? :over : e)
    end

    # Something that has happened; nil: look yourself.
    def next_event
      return @machine.shift(@events) if room.positive? || @handshakes.size >= MOST

      event = @machine.timeout(PATIENCE, :late) { @machine.shift(@events) }
      return event unless event == :late

      @handshakes.each_value { |one| one.slow = true }
      nil
    end

    def continue_handshakes
      while room.positive? && (socket = @connections.take_unfinished)
        begin_handshake(socket)
      end
    end

    def begin_handshake(socket)
      @handshakes[spin { shake_hands(socket) }] = Handshake.new(socket, false)
    rescue Exception # rubocop:disable Lint/RescueException -- an interrupt, and no fiber has it
      @connections.add_unfinished(socket)
      raise
    end

    # Interrupted, it is as far as it is: another loop goes on from there.
    def shake_hands(socket)
      over = false
      socket.accept if @server.start_immediately
      over = true
      @connections.add_ready(socket)
    rescue OpenSSL::SSL::SSLError, SystemCallError, IOError => e
      over = true
      socket.close
      @machine.push(@events, e) unless @ignore_errors
    ensure
      @connections.add_unfinished(socket) unless over
      @handshakes.delete(Fiber.current)
      @machine.push(@events, nil)
    end

    # What goes on is left to other loops.
    def leave
      stop(@handshakes.keys)
      # Ended before they had begun.
      @handshakes.each_value { |one| @connections.add_unfinished(one.socket) }
      @connections.close if @server.closed?
    end

    def stop(fibers)
      fibers.reject!(&:dead?)
      fibers.each(&:terminate)
      fibers.each { |fiber| @machine.await(fiber) }
    end
  end
end
