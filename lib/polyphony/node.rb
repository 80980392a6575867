# frozen_string_literal: true

module Polyphony
  # A fiber's place in the tree: who started it, whom it has started, and how it ended.
  #
  # A fiber doesn't end before its children. What nobody rescued goes to those who await the
  # fiber, or else to its parent.
  class Node
    # A connection that its client has cut is the end of that connection, not of the program:
    # such an error stops at the main fiber, which is told on stderr.
    DISCONNECTS = [Errno::ECONNRESET, Errno::EPIPE, Errno::ECONNABORTED].freeze

    # @return [Fiber] the fiber
    attr_reader :fiber
    # @return [Node, nil] the node of the fiber that started it; nil for a thread's root fiber
    attr_reader :parent
    # @return [Hash{Node => true}] nodes of the fibers that it has started and that have not ended
    attr_reader :children
    # @return [Object] what it was named by whoever started it
    attr_reader :tag
    # @return [Exception, nil] what ended it
    attr_reader :error

    # @param fiber [Fiber]
    # @return [Node] the fiber's node; a fiber that was not spun gets one without a parent
    def self.of(fiber)
      fiber.instance_variable_get(:@__polyphony_node) || new(nil, nil).attach(fiber)
    end

    # Starts a fiber as a child of another one.
    # @return [Fiber] runnable, and not run before the caller waits
    def self.spin(tag, parent = Fiber.current, &block) # rubocop:disable Naming/BlockForwarding -- not in a block, on 3.3.0
      node = new(of(parent), tag)
      # An interrupt may come up in `spin` itself: a fiber that nobody knows does nothing.
      fiber = Polyphony.machine.spin do |value|
        node.run(value, &block) if node.fiber # rubocop:disable Naming/BlockForwarding
        node.end_program
      end
      node.attach(fiber)
      fiber
    end

    # @param parent [Node, nil]
    # @param tag [Object]
    def initialize(parent, tag)
      @parent = parent
      @tag = tag
      @children = {}
      @awaiting = 0
    end

    # Makes this the node of a fiber.
    # @return [self]
    def attach(fiber)
      @fiber = fiber
      fiber.instance_variable_set(:@__polyphony_node, self)
      @parent&.children&.store(self, true)
      self
    end

    # @return [Boolean] whether the fiber has ended
    def done? = @done || false

    # The body of the fiber.
    # @param value [Object] what it is first resumed with
    def run(value, &)
      @result = body(value, &)
    rescue BaseException => e
      @result = e.value
    rescue Exception => e # rubocop:disable Lint/RescueException
      @error = e
    ensure
      finish
    end

    # What the fiber ended with.
    # @return [Object]
    # @raise [Exception] what nobody rescued in it
    def value
      raise @error if @error

      @result
    end

    # Between these two, errors of the fiber go to the caller instead of its parent.
    def await_begins = @awaiting += 1

    # See {#await_begins}.
    def await_ends = @awaiting -= 1

    # Ends the fibers that this one has started, and waits until they have ended.
    # @return [void]
    def terminate_children
      until @children.empty?
        children = @children.keys
        children.each(&:terminate)
        Polyphony.machine.await(children.map(&:fiber))
      end
    end

    # Asks the fiber to end. Before its start: then its block never runs.
    # @return [void]
    def terminate
      return if done?
      return @cancelled = true unless @started

      Polyphony.machine.schedule(@fiber, Terminate.new)
    end

    # `exit` and signals end the program: raised at the end of a fiber, the machine passes them to
    # the thread's root fiber.
    # @return [void]
    def end_program
      raise @error if ends_program?
    end

    private

    def body(value)
      return if @cancelled

      @started = true
      yield value
    end

    def finish
      terminate_children
    rescue Exception => e # rubocop:disable Lint/RescueException
      # An error on the way out stands, the last one.
      @error = e unless e.is_a?(BaseException)
      retry
    ensure
      @done = true
      @parent&.children&.delete(self)
      propagate if @error
    end

    def propagate
      return if ends_program? || @awaiting.positive? || @parent.nil?
      return report if @parent.parent.nil? && disconnect?

      Polyphony.machine.schedule(@parent.fiber, @error)
    end

    def ends_program? = @error.is_a?(SystemExit) || @error.is_a?(SignalException)

    def disconnect? = DISCONNECTS.any? { |error_class| @error.is_a?(error_class) }

    def report
      warn("#{@fiber.inspect}: connection lost: #{@error.message}") if Thread.current.report_on_exception
    end
  end
end
