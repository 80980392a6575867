# frozen_string_literal: true

# What Polyphony adds to every object.
module Kernel
  # Starts a fiber as a child of the running one. It is runnable at once and runs when the
  # caller waits.
  # @param tag [Object] a name for it
  # @return [Fiber]
  def spin(tag = nil, &)
    raise ArgumentError, "no block given" unless block_given?

    Polyphony::Node.spin(tag, &)
  end

  # Lets the other fibers run.
  # @return [Object] what the fiber was scheduled with meanwhile, or nil
  def snooze = Polyphony.machine.snooze
end
