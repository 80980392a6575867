# frozen_string_literal: true

# What Polyphony adds to fibers.
class Fiber
  # Waits until all fibers have ended.
  # @param fibers [Array<Fiber>] fibers made by {Kernel#spin}; an Array of them is taken as well
  # @return [Array] their values, in order
  # @raise [Exception] the first that ended one of them, once the others were ended too
  def self.await(*fibers)
    nodes = fibers.flatten.map { |fiber| Polyphony::Node.of(fiber) }
    Polyphony::Await.new(nodes).call
  end

  class << self
    alias join await
  end

  # Waits until the fiber has ended.
  # @return [Object] its value
  # @raise [Exception] what ended it
  def await = Fiber.await(self).first

  # Starts a fiber as a child of this one. See {Kernel#spin}.
  # @return [Fiber]
  def spin(tag = nil, &) = Polyphony::Node.spin(tag, self, &)

  # Asks the fiber to end.
  # @return [void]
  def terminate = Polyphony::Node.of(self).terminate
end

module Polyphony
  # Waiting for several fibers: all of them, or the first that fails.
  class Await
    # @param nodes [Array<Node>]
    def initialize(nodes)
      @nodes = nodes
    end

    # @return [Array] the fibers' values
    def call
      @nodes.each(&:await_begins)
      wait_for_all
      @nodes.map(&:value)
    ensure
      @nodes.each(&:await_ends)
    end

    private

    def wait_for_all
      until (pending = @nodes.reject(&:done?)).empty?
        failed = @nodes.find(&:error)
        return end_all(pending, failed.error) if failed

        Polyphony.machine.await_any(pending.map(&:fiber))
      end
    end

    def end_all(pending, error)
      pending.each(&:terminate)
      Polyphony.machine.await(pending.map(&:fiber))
      raise error
    end
  end
end
