# frozen_string_literal: true

module SpecSupport
  # What the order of fibers is to be like that share a `Polyphony::Queue`: the original's rules,
  # in the simplest way.
  class QueueModel
    def initialize(limit)
      @limit = limit
      @runnable = []
      @items = []
      @takers = []
      @givers = []
    end

    def run(bodies)
      bodies.each { |body| make_runnable(Fiber.new(&body)) }
      while (fiber = @runnable.shift)
        fiber.resume
      end
    end

    def snooze
      make_runnable(Fiber.current)
      Fiber.yield
    end

    def push(item)
      stand_in(@givers) { room? } if @limit
      call_first(@takers)
      @items.push(item)
    end

    def shift
      stand_in(@takers) { @items.any? }
      item = @items.shift
      call_first(@givers) if @limit && room?
      item
    end

    private

    def room? = @limit > @items.size

    # Always waits once, and until the block is true.
    def stand_in(line)
      loop do
        make_runnable(Fiber.current) if yield
        line.push(Fiber.current)
        Fiber.yield
        line.delete(Fiber.current)
        return if yield
      end
    end

    # One that is runnable already goes behind the others.
    def make_runnable(fiber)
      @runnable.delete(fiber)
      @runnable.push(fiber)
    end

    def call_first(line)
      fiber = line.shift
      make_runnable(fiber) if fiber
    end

    # Fibers that push, take and snooze at random.
    class Program
      def initialize(seed)
        random = Random.new(seed)
        @limit = [nil, 1, 2, 3, 5].sample(random:)
        @bodies = Array.new(random.rand(2..5)) do |name|
          Array.new(random.rand(1..10)) do |number|
            %i[shift push push snooze].sample(random:).then { |step| [step, "#{name}.#{number}"] }
          end
        end
      end

      def log_of_model
        model = QueueModel.new(@limit)
        log_of(model, model) { |bodies| model.run(bodies) }
      end

      def log_of_queue
        log_of(Polyphony::Queue.new(@limit), self) do |bodies|
          fibers = bodies.map { |body| spin(&body) }
          100.times { snooze }
          fibers.each(&:terminate)
          Fiber.await(fibers)
        end
      end

      private

      def log_of(queue, yielder)
        log = []
        bodies = @bodies.each_with_index.map do |steps, name|
          proc { steps.each { |step, item| log << [name, step, carry_out(step, item, queue, yielder)] } }
        end
        yield bodies
        log
      end

      def carry_out(step, item, queue, yielder)
        case step
        when :push then queue.push(item) && nil
        when :shift then queue.shift
        else yielder.snooze && nil
        end
      end
    end
  end
end
