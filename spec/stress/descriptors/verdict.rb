# frozen_string_literal: true

module DescriptorStress
  # What a connection must have come to.
  class Verdict
    class Fault < StandardError; end

    CLOSED = [IOError, Errno::EBADF].freeze
    GONE = [IOError, Errno::EPIPE, Errno::ECONNRESET, Errno::ENOTCONN, Errno::EBADF].freeze
    # Of an IO of which a half, or the other side, is gone meanwhile.
    CUT = [*GONE, OpenSSL::SSL::SSLError, Zlib::Error].freeze
    ALLOWED = {
      none: [], cancel: [Polyphony::Cancel, Polyphony::Terminate, Timeout::Error, Trouble::Planned],
      close_source: [*CLOSED, OpenSSL::SSL::SSLError], close_destination: [*CLOSED, OpenSSL::SSL::SSLError],
      reset_feeder: CUT, reset_sink: GONE, half_close: CUT
    }.freeze

    def initialize(connection, peer_errors)
      @connection = connection
      @plan = connection.plan
      @peer_errors = peer_errors.compact
    end

    # Raises a Fault for the first thing that is wrong.
    def check
      check_outcome
      @connection.source ? check_read : check_written
      check_back if @connection.back
    end

    private

    def outcome = @connection.outcome

    def failed? = outcome.is_a?(Exception) || %i[moved_on never_begun].include?(outcome)

    # Nobody has disturbed it.
    def undisturbed? = @plan.trouble == :none

    # It came to its end although somebody wanted to disturb it.
    def ended_before? = !failed? && %i[cancel close_source close_destination].include?(@plan.trouble)

    def check_outcome
      if outcome.is_a?(Exception) && ALLOWED.fetch(@plan.trouble).none? { |kind| outcome.is_a?(kind) }
        raise Fault, "it ended with #{outcome.full_message(highlight: false)}"
      end
      return unless undisturbed? && @peer_errors.any?

      raise Fault, "a peer ended with #{@peer_errors.first.full_message(highlight: false)}"
    end

    def check_read
      there = @connection.there
      arrived, = there.arrived(Kinds::DESTINATION_CODING[@plan.kind])
      # Of the stream, first comes what Ruby held of the destination's, then what was read ahead of
      # the source.
      held = there.before.bytesize
      first = arrived.byteslice(0, held)
      first += @connection.ahead if first.bytesize == held
      return check_tee(first, arrived.byteslice(held..) || "") if @plan.kind == :tee

      moved = @connection.reader? ? @connection.taken : arrived.byteslice(held..) || ""
      check_flow(there, first + moved)
      check_count(moved.bytesize)
    end

    def check_written
      check_flow(@connection.there, @connection.there.arrived(nil).first)
    end

    def check_back = check_flow(@connection.back, @connection.back.arrived(nil).first)

    # Never anything but the stream's begin, in order; all of it where nobody has disturbed it; and
    # with what the source has still, all of it where that was looked at.
    def check_flow(flow, got)
      complain("foreign", flow, got) unless flow.stream.start_with?(got)
      if flow.rest
        reset = @plan.trouble == :reset_sink
        whole = reset ? flow.stream.end_with?(flow.rest) : got + flow.rest == flow.stream
        complain("not conserved", flow, got + flow.rest) unless whole
      elsif undisturbed? || ended_before?
        complain("not whole", flow, got) unless got == flow.stream
      end
    end

    def check_count(arrived)
      return unless outcome.is_a?(Exception) && Kinds::COUNTING.include?(@plan.kind)
      return if %i[reset_sink reset_feeder].include?(@plan.trouble) || @plan.again
      # What a proxy has not read of the other way resets its connections when it is closed.
      return if @connection.back && !@connection.back.rest

      moved = outcome.bytes_moved
      moved = moved.first if moved.is_a?(Array)
      return if moved.nil? || moved == [arrived, 0].max

      raise Fault, "bytes_moved is #{moved}, and #{arrived} have arrived"
    end

    # What was copied is there to be read afterwards.
    def check_tee(first, copied)
      there = @connection.there
      complain("foreign", there, first + copied) unless there.stream.start_with?(first + copied)
      check_flow(there, there.before + @connection.ahead + @connection.taken)
    end

    def complain(what, flow, got)
      raise Fault, "#{what}: #{Records.difference(flow.stream, got)}; " \
                   "it ended with #{outcome.inspect}, the peers with #{@peer_errors.inspect}"
    end
  end
end
