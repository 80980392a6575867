# frozen_string_literal: true

module DescriptorStress
  # One connection from its begin to its end: a feeder, what is under test, a receiver, and trouble.
  class Connection
    # What was read of the source before, and by the transfer itself.
    attr_reader :ahead, :taken
    # A pipe that the program itself has put between.
    attr_reader :between
    attr_reader :plan, :source, :destination, :there, :back, :outcome

    def initialize(plan, run)
      @plan = plan
      @run = run
      @ahead = "".b
      @taken = +"".b
      @between = []
    end

    def from = @source&.given
    def to = @destination&.given

    # The numbers that its ends have.
    def numbers = [@source, @destination].compact.map(&:number)

    # Makes the ends, and sends what can be sent without a wait.
    def open
      make_flows
      open_source unless writer?
      open_destination unless reader?
      @feeders = make_feeders
      @feeders.each(&:begin_now)
      self
    end

    def run
      start_peers
      read_ahead
      @outcome = work
      @outcome = work(again: true) if again?
      take_rest
      close
      @between.each(&:close)
      @peer_errors = @peers.map(&:await)
      Verdict.new(self, @peer_errors).check
    ensure
      close_theirs
    end

    def reader? = Kinds::READERS.include?(@plan.kind)
    def writer? = Kinds::WRITERS.include?(@plan.kind)
    def proxy? = Kinds::PROXIES.include?(@plan.kind)

    # An interruption has hit it, and nothing else has gone wrong.
    def cancelled? = @plan.trouble == :cancel && (@outcome.is_a?(Exception) || @outcome == :moved_on)

    # Whether bytes that haven't reached the destination are in the source again.
    def conserves?
      takes_back = !@source&.by_number? || @plan.source == :file
      Kinds::CONSERVING.include?(@plan.kind) && takes_back
    end

    private

    def make_flows
      stream = Records.stream(@plan.id, "a", @plan.bytes)
      @held = @plan.held && !@plan.by_number?(:destination) && !reader? && !writer? && plain?
      @there = Flow.new(stream, held: @held ? [stream.bytesize, 10 + (@plan.len % 300)].min : 0)
      @back = Flow.new(Records.stream(@plan.id, "b", @plan.len % 70_000)) if proxy?
    end

    def plain? = !(Kinds::SOURCE_CODING.key?(@plan.kind) || Kinds::DESTINATION_CODING.key?(@plan.kind))

    def open_source
      content = Coding.encode(Kinds::SOURCE_CODING[@plan.kind], @there.sent)
      @source_wire = Wires.open(@plan, @plan.source, :source, content)
      @source = @source_wire.ours
      @content = content
      @greeting = @plan.held && !@plan.by_number?(:source) && %i[unix tcp].include?(@plan.source) && !proxy?
      return unless @greeting

      from.sync = false
      from.write(Peers::GREETING)
    end

    def open_destination
      @destination_wire = Wires.open(@plan, @plan.destination, :destination, nil)
      @destination = @destination_wire.ours
      return unless @held

      to.sync = false if to.respond_to?(:sync=)
      to.write(@there.before)
    end

    def make_feeders
      feeders = []
      if @source && @plan.source != :file
        reset = @plan.trouble == :reset_feeder
        feeders << Peers::Feeder.new(@source_wire.theirs, @content, @plan,
                                     greeted: @greeting, keep_open: proxy?, reset:)
      end
      feeders << Peers::Feeder.new(@destination_wire.theirs, @back.sent, @plan, keep_open: true) if proxy?
      feeders
    end

    def start_peers
      @there.sink = sink(@destination_wire) if @destination
      @back.sink = sink(@source_wire) if @back
      sinks = [@there, @back].compact.filter_map(&:sink)
      @peers = sinks.map { |sink| spin { sink.run } } + @feeders.map { |feeder| spin { feeder.run } }
      # The end of a TLS stream can't be told without closing: this one waits for the other's.
      end_tls(*@peers[1, 2]) if @plan.kind == :proxy_tls
    end

    def sink(wire)
      return Peers::FileSink.new(wire.theirs) if wire.kind == :file

      reset = @plan.trouble == :reset_sink && wire == @destination_wire
      Peers::Sink.new(wire.theirs, @plan, reset_after: (@plan.random.rand(@plan.bytes) if reset))
    end

    def end_tls(*before)
      @peers << spin do
        before.each(&:await)
        @source_wire.theirs.close
        nil
      rescue *Peers::GONE => e
        e
      end
    end

    # Ruby holds some of the source from now on.
    def read_ahead
      return if !@plan.ahead || !@source || @source.by_number? || !plain? || proxy?

      @ahead = from.gets&.b || "".b
    rescue *Peers::GONE
      raise unless @plan.trouble == :reset_feeder
    end

    def work(again: false)
      outcome = :never_begun
      worker = spin { outcome = attempt { again ? Kinds.run(self) : limited { Kinds.run(self) } } }
      trouble = spin { Trouble.new(self, worker, @run).act } unless again
      begin
        worker.await
      rescue Trouble::Planned, Polyphony::Terminate => e
        outcome = e
      end
      trouble&.await
      outcome
    end

    def attempt
      yield
    rescue Exception => e # rubocop:disable Lint/RescueException
      e
    end

    # Interrupted by a time limit, if that is its trouble.
    def limited(&)
      seconds = @plan.millis / 1000
      case @plan.how
      when :cancel_after then cancel_after(seconds, &)
      when :move_on_after then move_on_after(seconds, with_value: :moved_on, &)
      when :timeout then Timeout.timeout(seconds + 1e-6, &)
      else yield
      end
    end

    def again? = @plan.again && cancelled? && conserves?

    # What an interrupted transfer has not moved is there for core.
    def take_rest
      return unless may_look_at_rest?

      between = @between.first&.then { |reader| rest_of_pipe(reader) }
      @there.rest = (between || "".b) + @source.io.read.b
      @back.rest = @destination.io.read.b if @back
    rescue Errno::ECONNRESET, OpenSSL::SSL::SSLError
      # openssl gives up telling the end where a socket has no room for it.
      raise unless @plan.source == :tls
    end

    def may_look_at_rest?
      return false unless conserves? && (cancelled? || lost_destination?) && @source.open?

      !@back || (@destination.open? && !@destination.by_number?)
    end

    def lost_destination?
      @outcome.is_a?(Exception) && !proxy? && @plan.kind != :splice_pipe_object &&
        (@plan.trouble == :close_destination || @plan.how == :close_write || @plan.trouble == :reset_sink)
    end

    def rest_of_pipe(reader)
      @between.last.close
      reader.read
    end

    def close
      [@destination, @source].compact.each do |handle|
        handle.close
      rescue *Peers::GONE
        raise if @plan.trouble == :none
      end
    end

    def close_theirs
      [@source_wire, @destination_wire].compact.each { |wire| wire.theirs.close }
    rescue *Peers::GONE
      nil
    end
  end
end
