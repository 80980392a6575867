# frozen_string_literal: true

module DescriptorStress
  # What happens to a connection: all of it is drawn from the seed and the connection's number.
  # `bytes`: about so many are sent. `held`: Ruby has unwritten bytes of the destination, or of the
  # source; `ahead`: it has read some. `again`: an interrupted transfer is called once more.
  Plan = Struct.new(:id, :kind, :source, :destination, :by_number, :bytes, :trouble, :how, :moment,
                    :millis, :tiny_buffers, :slow, :ahead, :held, :again, :len, :seed, keyword_init: true) do
    def random = Random.new(seed)

    # Whether an end (:source, :destination) is nothing but a number.
    def by_number?(role) = by_number == :both || by_number == role

    def to_s = to_h.compact.map { |name, value| "#{name}=#{value}" }.join(" ")
  end

  # Draws plans.
  class Planner
    ENDS = %i[unix unix tcp tcp pipe file].freeze
    SOCKETS = %i[unix tcp].freeze
    # [sources, destinations]; TLS is among them here and there.
    WIRES = Hash.new([ENDS, ENDS]).merge(
      tee: [%i[pipe], %i[pipe]], proxy: [SOCKETS, SOCKETS], proxy_tls: [%i[tls], SOCKETS],
      splice_tls: [%i[tls], ENDS], double_splice_tls: [SOCKETS, %i[tls]],
      recv_loop: [SOCKETS, []], machine_recv: [SOCKETS, []], machine_recv_each: [SOCKETS, []],
      machine_send: [[], SOCKETS]
    ).freeze
    KINDS = %i[splice splice splice_moves splice_pipe splice_pipe_object splice_tls double_splice
               double_splice double_splice_open double_splice_tls chunked chunked proxy proxy proxy_tls tee
               tee gzip deflate gunzip inflate copy_stream loop_and_write read_loop recv_loop feed_loop gets
               read read_some readpartial machine_read machine_recv machine_read_each machine_recv_each
               machine_send machine_write write].freeze
    TLS = %i[proxy_tls splice_tls double_splice_tls].freeze
    # Handshakes are dear.
    TLS_SHARE = 0.3
    # These know numbers only.
    BY_NUMBER = /\Amachine_/
    MAYBE_BY_NUMBER = %i[splice splice_moves double_splice double_splice_open chunked proxy tee gzip
                         deflate gunzip inflate].freeze
    TROUBLES = %i[none none none close_source close_source close_destination close_destination cancel cancel
                  cancel reset_feeder reset_sink half_close].freeze
    CANCELS = %i[cancel_after move_on_after timeout raise terminate].freeze
    CLOSERS = %i[fiber fiber main thread].freeze
    AGAIN = %i[splice double_splice double_splice_open proxy].freeze

    attr_reader :seed

    def initialize(seed, only = nil)
      @seed = seed
      @only = only
    end

    def plan(id)
      seed = (@seed * 1_000_003) + (@only || id)
      random = Random.new(seed)
      kind = pick_kind(random)
      source, destination = WIRES[kind].map { |kinds| kinds.sample(random:) }
      trouble = trouble(kind, random)
      Plan.new(id:, kind:, source:, destination:, trouble:, seed:, how: how(trouble, random),
               by_number: by_number(kind, random), **figures(random),
               **habits(kind, trouble, destination, random))
    end

    private

    def pick_kind(random)
      kind = KINDS.sample(random:)
      TLS.include?(kind) && random.rand > TLS_SHARE ? kind.to_s.delete_suffix("_tls").to_sym : kind
    end

    # The end that is closed is one that there is.
    def trouble(kind, random)
      trouble = TROUBLES.sample(random:)
      return trouble unless trouble.start_with?("close_")
      return :close_source if Kinds::READERS.include?(kind)

      Kinds::WRITERS.include?(kind) ? :close_destination : trouble
    end

    def by_number(kind, random)
      return :both if kind.match?(BY_NUMBER)

      %i[both source destination].sample(random:) if MAYBE_BY_NUMBER.include?(kind) && random.rand < 0.25
    end

    def how(trouble, random)
      case trouble
      when :cancel then CANCELS.sample(random:)
      when :close_source, :close_destination then CLOSERS.sample(random:)
      when :half_close then %i[close_read close_write].sample(random:)
      end
    end

    # Small ones mostly. The moment is how often others have had their turn before the trouble.
    def figures(random)
      { bytes: (100 * (2000**(random.rand**1.5))).to_i, moment: (60**random.rand).to_i,
        millis: random.rand * 4, len: 1 + (200_000**random.rand).to_i }
    end

    # Core's `close_write` forgets what Ruby holds, and so does an SSLSocket that is disturbed.
    def held?(trouble, destination, random)
      held = random.rand < 0.2
      held && trouble != :half_close && (destination != :tls || trouble == :none)
    end

    def habits(kind, trouble, destination, random)
      { tiny_buffers: random.rand < 0.3, slow: random.rand < 0.3, ahead: random.rand < 0.3,
        held: held?(trouble, destination, random), again: AGAIN.include?(kind) && random.rand < 0.4 }
    end
  end
end
