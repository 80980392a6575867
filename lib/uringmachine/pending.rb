# frozen_string_literal: true

# Who waits for what.
class UringMachine
  # One fiber that waits, and for what: see {UringMachine#pending}.
  #
  # @!attribute [r] fiber
  #   @return [Fiber]
  # @!attribute [r] op
  #   @return [Symbol] what it waits for: an operation of the ring (`:recv`, `:accept`, `:poll` …)
  #     or of the machine (`:sleep`, `:join`, `:queue`, `:mutex`, `:yield`, `:block`, `:worker`)
  # @!attribute [r] fd
  #   @return [Integer, nil] the descriptor that it waits on
  # @!attribute [r] seconds
  #   @return [Float] for how long, to some milliseconds
  # @!attribute [r] backtrace
  #   @return [Array<String>] where the fiber is, innermost first
  Pending = Data.define(:fiber, :op, :fd, :seconds, :backtrace) do
    # @return [String] all of it in one line
    def to_s
      on = " on fd #{fd}" if fd
      format("%<op>s%<on>s for %<seconds>.1f s at %<place>s", op:, on:, seconds:, place:)
    end

    # @return [String, nil] the innermost line of the program's own, not of this library
    def place
      backtrace.find { |line| !line.start_with?(LIBRARY) } || backtrace.first
    end
  end

  # Where this library's files are.
  LIBRARY = "#{File.expand_path("..", __dir__)}/".freeze
  private_constant :LIBRARY

  # Most waits that {#inspect} lists.
  INSPECTED = 20
  private_constant :INSPECTED

  # The fibers that wait in this machine, longest first: what to print when a program hangs, for
  # instance from a trap handler.
  #
  #   trap(:QUIT) { warn machine.pending, *machine.pending.flat_map(&:backtrace) }
  #
  # From the machine's own thread, or from another one.
  # @return [Array<Pending>]
  def pending
    waits = __waits__.map do |fiber, op, fd, seconds|
      Pending.new(fiber:, op:, fd:, seconds:, backtrace: fiber.backtrace || [])
    end
    waits.sort_by { |wait| -wait.seconds }
  end

  # What the machine is doing: its figures, and a line for each of the fibers that have waited
  # longest.
  # @return [String]
  def inspect
    return "#<#{self.class} (uninitialized)>" unless __initialized__?

    figures = metrics.values_at(:ops_runqueue, :ops_pending)
    head = format("#<%s %d fibers, %d runnable, %d ops pending", self.class, fiber_set.size, *figures)
    waits = pending
    return "#{head}>" if waits.empty?

    lines = waits.first(INSPECTED).map { |wait| "\n  #{wait.fiber.inspect} #{wait}" }
    lines << "\n  and #{waits.size - INSPECTED} more" if waits.size > INSPECTED
    "#{head}:#{lines.join}>"
  end
end
