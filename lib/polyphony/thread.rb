# frozen_string_literal: true

# What Polyphony adds to threads. `join`, `value`, `kill` and `raise` are core's; a root fiber that
# joins a thread lets its fibers run.
class Thread
  # Waits until the thread has ended.
  # @return [Object] its value
  # @raise [Exception] what ended it
  def await = value

  # @return [Boolean] whether it has ended
  def done? = !alive?
end
