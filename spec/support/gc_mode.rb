# frozen_string_literal: true

module SpecSupport
  # Runs the suite under a harsher garbage collector: GC_MODE=stress|compact|verify.
  #
  # - stress: a collection at every allocation, within the examples only (so: for a subset)
  # - compact: every major collection moves objects
  # - verify: after each example all objects are moved and all references checked
  module GCMode
    MODES = %w[normal stress compact verify].freeze
    # How much longer an example may take.
    SLOWDOWN = { "normal" => 1, "stress" => 10, "compact" => 2, "verify" => 4 }.freeze

    module_function

    def current
      mode = ENV.fetch("GC_MODE", "normal")
      MODES.include?(mode) ? mode : abort("GC_MODE=#{mode} is unknown; it may be #{MODES.join(", ")}")
    end

    def slowdown = SLOWDOWN.fetch(current)

    def install(config)
      case current
      when "stress" then config.around { |example| GCMode.stress { example.run } }
      when "compact" then GC.auto_compact = true
      when "verify" then config.around { |example| GCMode.verify_after { example.run } }
      end
    end

    def stress
      GC.stress = true
      yield
    ensure
      GC.stress = false
    end

    def verify_after
      yield
    ensure
      GC.verify_compaction_references(expand_heap: true, toward: :empty) if can_verify?
    end

    def can_verify? = GC.respond_to?(:verify_compaction_references)
  end
end
