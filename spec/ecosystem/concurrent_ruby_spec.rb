# frozen_string_literal: true

require_relative "../support/ecosystem"

# Its primitives between fibers, and between fibers and the threads of its pools.
RSpec.describe "concurrent-ruby", packages: %w[ruby-concurrent], gems: %w[logger] do
  before(:context) { require "concurrent" }

  in_both_ways do
    it "has ten fibers that wait for futures, which wait for each other in its threads" do
      latch = Concurrent::CountDownLatch.new(10)
      waiting = Array.new(10) do |number|
        lambda do
          future = Concurrent::Promises.future_on(:io, number) do |value|
            latch.count_down
            latch.wait
            value * 2
          end
          future.then { |value| value + 1 }.value!
        end
      end
      expect(together(waiting)).to eq(Array.new(10) { |number| (number * 2) + 1 })
    end

    it "raises in a fiber what a future has raised" do
      failing = -> { error_of { Concurrent::Promises.future { raise IOError, "in its thread" }.value! } }
      expect(together(failing).first).to be_a(IOError).and(have_attributes(message: "in its thread"))
    end

    it "lets fibers wait for each other" do
      order = []
      semaphore = Concurrent::Semaphore.new(2)
      event = Concurrent::Event.new
      entering = Array.new(4) do |number|
        lambda do
          semaphore.acquire
          order << number
          event.wait
          semaphore.release
        end
      end
      setting = lambda do
        wait_until { order.size == 2 }
        order << :set
        event.set
      end
      together(entering, setting)
      expect(order).to eq([0, 1, :set, 2, 3])
    end

    it "meets at a barrier" do
      barrier = Concurrent::CyclicBarrier.new(10)
      rounds = []
      meeting = lambda do
        3.times do |round|
          barrier.wait
          rounds << round
        end
      end
      together([meeting] * 10)
      expect(rounds).to eq(([0] * 10) + ([1] * 10) + ([2] * 10))
    end
  end
end
