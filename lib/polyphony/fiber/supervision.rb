# frozen_string_literal: true

module Polyphony
  # Watching over fibers, and starting those that end again.
  module FiberSupervision
    # Waits for the end of fibers, one after the other, for ever. What fails them goes no further.
    # @param fibers [Array<Fiber>] which; without them, all children, also those that are yet to come
    # @param on_done [Proc, nil] called with each fiber that has ended and its value or exception
    # @param on_error [Proc, nil] the same for those that have failed
    # @param restart [Boolean, Symbol] `true` or `:always`: those that end begin anew. `:on_error`:
    #   only those that fail
    # @yieldparam fiber [Fiber] as for on_done
    # @yieldparam value [Object]
    def supervise(*fibers, on_done: nil, on_error: nil, restart: false, &block)
      unless [true, false, nil, :always, :on_error].include?(restart)
        ::Kernel.raise ::ArgumentError, "restart must be true, :always or :on_error"
      end

      watch(fibers.flatten)
      loop do
        fiber, value = monitor_mailbox.shift
        failed = value.is_a?(::Exception)
        (block || on_done)&.call(fiber, value)
        on_error&.call(fiber, value) if failed
        fiber.restart if restart == :on_error ? failed : restart
      end
    end

    private

    def watch(fibers)
      if fibers.empty?
        fibers = children
        __mark__(:supervises, true)
      end
      fibers.each do |fiber|
        fiber.attach_to(self) unless fiber.dead? || fiber.parent.equal?(self)
        fiber.monitor(self)
      end
    end
  end
end
