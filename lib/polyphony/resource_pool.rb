# frozen_string_literal: true

module Polyphony
  # Things that are costly to make, such as connections, for a number of fibers that take turns.
  # What else is asked of the pool is passed on to one of them.
  class ResourcePool
    # What those in line get where they have to make a resource themselves.
    VACANCY = Object.new.freeze
    private_constant :VACANCY

    # @return [Integer] most resources that there may be
    attr_reader :limit
    # @return [Integer] how many there are
    attr_reader :size

    # @param limit [Integer]
    # @yieldreturn [Object] a new resource
    def initialize(limit:, &maker)
      raise ArgumentError, "no block given" unless maker
      raise TypeError, "the limit must be an Integer" unless limit.is_a?(Integer)
      raise ArgumentError, "the limit must be positive" unless limit.positive?

      @limit = limit
      @maker = maker
      @size = 0
      @counting = Thread::Mutex.new
      @stock = Queue.new
      @acquired = {}.compare_by_identity
    end

    # Gives the block a resource, waiting for one. Inside, the same fiber gets the same one again.
    # @yieldparam resource [Object]
    # @return [Object] the value of the block
    # @raise what making one raises
    def acquire(&)
      raise ArgumentError, "no block given" unless block_given?

      fiber = Fiber.current
      return yield @acquired[fiber] if @acquired.key?(fiber)

      lend(fiber, &)
    end

    # @return [Integer] how many resources lie ready
    def available = @stock.size

    # Takes the running fiber's resource out of the pool: it is broken, or closed.
    # @return [void]
    def discard!
      fiber = Fiber.current
      return unless @acquired.key?(fiber)

      @acquired.delete(fiber)
      lose_one
    end

    # Makes as many resources as there may be.
    # @return [self]
    def fill!
      add while @size < @limit
      self
    end

    # Asks one of the resources.
    def method_missing(name, *args, **options, &block) # rubocop:disable Naming/BlockForwarding -- not in a block, on 3.3.0
      acquire { |resource| resource.public_send(name, *args, **options, &block) } # rubocop:disable Naming/BlockForwarding
    end

    # See {#method_missing}.
    def respond_to_missing?(name, include_all = false)
      acquire { |resource| resource.respond_to?(name, include_all) }
    end

    private

    def lend(fiber)
      resource = take
      @acquired[fiber] = resource
      begin
        yield resource
      ensure
        @stock << resource if @acquired.key?(fiber)
        @acquired.delete(fiber)
      end
    end

    def take
      loop do
        # Where others stand in line, what lies ready is theirs.
        add if @stock.empty? || @stock.pending?
        resource = @stock.shift
        return resource unless resource.equal?(VACANCY)
      end
    end

    # Makes one if there is room for it.
    def add
      return unless count_one

      begin
        resource = @maker.call
      rescue Exception # rubocop:disable Lint/RescueException
        lose_one
        raise
      end
      @stock << resource
    end

    def count_one
      @counting.synchronize { @size += 1 if @size < @limit }
    end

    # Those in line wait for the others to be given back, where there are others.
    def lose_one
      left = @counting.synchronize { @size -= 1 }
      @stock.flush_waiters(VACANCY) if left.zero?
    end
  end
end
