# frozen_string_literal: true

module SpecSupport
  # The event loop of a selector, as small as one can be: the example's own fiber calls `select`.
  module SelectorLoop
    def self.included(group)
      group.let!(:selector) { described_class.new(Fiber.current) }
      group.let(:log) { [] }
      group.after { selector.close }
    end

    # Starts a fiber, which runs up to its first wait.
    def start(&) = Fiber.new(&).tap(&:transfer)

    # Turns of the loop until the block says so.
    def run_loop(turns: 1000)
      turns.times do
        return if yield

        selector.select(1)
      end
      raise "#{turns} turns of the loop in vain"
    end

    # The block in a fiber, to its end; its value.
    def in_loop
      outcome = nil
      start do
        outcome = [yield, nil]
      rescue StandardError => e
        outcome = [nil, e]
      end
      run_loop { outcome }
      raise outcome.last if outcome.last

      outcome.first
    end

    # A thread that runs the block, with the loop's thread, once that waits in `wait_in_select`.
    def once_waiting
      loop_thread = Thread.current
      @about_to_wait = false
      Thread.new do
        sleep 0.001 until @about_to_wait && loop_thread.status == "sleep"
        yield loop_thread
      end
    end

    def wait_in_select
      @about_to_wait = true
      selector.select
    end

    # What Ruby writes from.
    def buffer(text) = IO::Buffer.for(text.dup)
  end
end
