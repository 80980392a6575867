# frozen_string_literal: true

require_relative "uringmachine"
require_relative "polyphony/version"
require_relative "polyphony/errors"
require_relative "polyphony/serving"
require_relative "polyphony/ending"
require_relative "polyphony/mailbox"
require_relative "polyphony/fiber"
require_relative "polyphony/kernel"
require_relative "polyphony/loops"
require_relative "polyphony/mutex"
require_relative "polyphony/net"
require_relative "polyphony/pipe"
require_relative "polyphony/process"
require_relative "polyphony/server"
require_relative "polyphony/tls_server"
require_relative "polyphony/transfers"
require_relative "polyphony/timing"
require_relative "polyphony/sleep"
require_relative "polyphony/timeout"
require_relative "polyphony/tree"
require_relative "polyphony/root_fiber"
require_relative "polyphony/thread"
require_relative "polyphony/trap"
require_relative "polyphony/runtime"

# Concurrent programs in few lines, on io_uring: {Kernel#spin}, {Fiber.await}, `IO.splice` and
# their like. Requiring it installs the scheduler for the running thread.
module Polyphony
  autoload :Channel, "#{__dir__}/polyphony/channel"
  autoload :ConditionVariable, "#{__dir__}/polyphony/condition_variable"
  autoload :Monitor, "#{__dir__}/polyphony/monitor"
  autoload :ResourcePool, "#{__dir__}/polyphony/resource_pool"
  autoload :ThreadPool, "#{__dir__}/polyphony/thread_pool"
  autoload :Throttler, "#{__dir__}/polyphony/throttler"
  autoload :Timer, "#{__dir__}/polyphony/timer"

  # The scheduler that `require "polyphony"` installs. See {UringMachine::FiberScheduler}.
  Scheduler = UringMachine::FiberScheduler

  # @return [Pipe] a pipe as one object
  def self.pipe
    Pipe.new
  end

  start
  require_relative "polyphony/closing"
end
