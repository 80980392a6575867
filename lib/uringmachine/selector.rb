# frozen_string_literal: true

require "uringmachine"

class UringMachine
  # What Async asks of an event loop's backend, on io_uring: the tasks, timers and sockets of a
  # program that uses `async` (or `falcon`) stay as they are, and wait in a machine's ring.
  #
  #   IO_EVENT_SELECTOR=UringMachine ruby -r uringmachine/selector program.rb
  #
  # or, in the program:
  #
  #   Fiber.set_scheduler(Async::Scheduler.new(selector: UM::Selector.new(Fiber.current)))
  #
  # It has the methods of `IO::Event::Selector`'s classes, all of them native. It is not a
  # `Fiber::Scheduler`, and its fibers are none of a machine's: Async's loop runs them.
  class Selector
    # What `IO_EVENT_SELECTOR` has to say.
    NAME = :UringMachine
  end
end

class IO
  module Event
    # Where Async looks for that name.
    module Selector
      const_set(::UringMachine::Selector::NAME, ::UringMachine::Selector)
    end
  end
end
