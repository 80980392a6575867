# frozen_string_literal: true

require_relative "fiber/ending"
require_relative "fiber/messages"
require_relative "fiber/monitoring"
require_relative "fiber/state"
require_relative "fiber/supervision"

# What Polyphony adds to fibers. Of fibers that {Kernel#spin} hasn't made, core's own methods
# (`raise`, `kill`, `inspect`) are what they were.
#
# @!method self.await(*fibers)
#   Waits until all fibers have ended.
#   @param fibers [Array<Fiber>] fibers made by {Kernel#spin}; an Array of them is taken as well
#   @return [Array] their values, in order
#   @raise [Exception] the first that ended one of them, once the others were ended too
# @!method self.join(*fibers)
#   See {await}.
# @!method self.select(*fibers)
#   Waits until one of the fibers has ended; the others go on.
#   @return [Array(Fiber, Object)] that fiber and its value; nil where no fiber was given
#   @raise [Exception] what ended it
# @!method await
#   Waits until the fiber has ended. Also called `join` and `value`.
#   @return [Object] its value
#   @raise [Exception] what ended it
# @!method spin(tag = nil)
#   Starts a fiber as a child of this one. See {Kernel#spin}.
#   @return [Fiber]
# @!method children
#   @return [Array<Fiber>] the fibers that it has started and that have not ended, eldest first
# @!method parent
#   @return [Fiber, nil] the fiber that has started it; nil for the one that a thread began with
# @!method tag
#   @return [Object] what it was named
# @!method main?
#   @return [true, nil] whether a thread has begun with it
# @!method thread
#   @return [Thread, nil] the thread that runs it
# @!method attach_to(parent)
#   Makes it the youngest child of another fiber of its thread.
#   @return [self]
class Fiber
  prepend Polyphony::FiberEnding
  prepend Polyphony::FiberState
  include Polyphony::FiberMessages
  include Polyphony::FiberMonitoring
  include Polyphony::FiberSupervision
end
