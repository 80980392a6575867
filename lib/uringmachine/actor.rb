# frozen_string_literal: true

require_relative "../uringmachine"

# Actors: fibers that handle messages.
class UringMachine
  # A fiber that handles messages one at a time. What it does with them is up to its target: an
  # object extended with a module, whose methods the messages name.
  #
  #   module Counter
  #     def setup(start) = @count = start
  #     def add(number) = @count += number
  #   end
  #
  #   counter = machine.spin_actor(Counter, 5)
  #   counter.call(UM::Queue.new, :add, 1) #=> 6
  #
  # (`raise` is Fiber's own in here: it raises in the fiber that it is called on.)
  #
  # Made by {UringMachine#spin_actor} and {UringMachine#spin_thread_actor}.
  class Actor < Fiber
    # Ends an actor. Not a StandardError, so that no plain `rescue` catches it.
    class Stop < Exception; end # rubocop:disable Lint/InheritException

    # How a call has ended, on its way to the caller.
    Answer = Data.define(:call, :value, :error)
    private_constant :Answer

    # Sends a message and waits for the answer.
    # @param mailbox [UringMachine::Queue] where the answer is to go
    # @param method [Symbol] the target's method; `args` and `options` are its arguments
    # @return [Object] what the method returns
    # @raise what the method raises; {UringMachine::Error} where the actor has ended, or ends before
    #   it answers
    def call(mailbox, method, *args, **options)
      Kernel.raise(TypeError, "mailbox must be a UringMachine::Queue") unless mailbox.is_a?(Queue)

      call = Object.new
      deliver([mailbox, call], method, args, options)
      answer = waiting_machine.shift(mailbox)
      # An answer to a call that was interrupted comes late.
      answer = waiting_machine.shift(mailbox) while answer.is_a?(Answer) && !answer.call.equal?(call)
      return answer unless answer.is_a?(Answer)

      Kernel.raise(answer.error) if answer.error
      answer.value
    end

    # Sends a message to which there is no answer. What the method raises ends the actor.
    # @return [self]
    # @raise [UringMachine::Error] where the actor has ended
    def cast(method, *args, **options)
      deliver(nil, method, args, options)
      self
    end

    # Ends the actor at its next wait. Its target's `teardown` is called, where it has one.
    # @return [self]
    def stop
      @machine.schedule(self, Stop.new)
      self
    end

    # The life of the actor.
    # @private
    def run(target)
      loop do
        @caller, *message = @machine.shift(mailbox)
        handle(target, *message)
      end
    rescue Stop
      nil
    ensure
      @ended = true
      turn_callers_away
      target.teardown if target.respond_to?(:teardown)
    end

    # @param machine [UringMachine] the one that the actor runs in
    # @param creator [UringMachine] the one that it was made by
    # @private
    def belongs_to(machine, creator)
      @machine = machine
      @creator = creator
    end

    private

    def deliver(*message)
      @machine.push(mailbox, message)
      Kernel.raise(Error, "the actor has ended") if @ended
    end

    # The machine to wait in: another thread's can't be.
    def waiting_machine
      @creator.__mine__? ? @creator : Thread.current.machine
    end

    def handle(target, method, args, options)
      value = target.public_send(method, *args, **options)
    rescue StandardError => e
      Kernel.raise unless @caller

      answer(nil, e)
    else
      answer(value, nil)
    end

    def answer(value, error)
      return unless @caller

      mailbox, call = @caller
      @caller = nil
      @machine.push(mailbox, Answer.new(call, value, error))
    end

    def turn_callers_away
      refusal = Error.new("the actor has ended")
      answer(nil, refusal)
      mailbox.count.times do
        @caller, = @machine.shift(mailbox)
        answer(nil, refusal)
      end
    end
  end

  # Makes an actor in this machine.
  # @param mod [Module] what the actor can do; its `setup` is called with the other arguments
  #   before this returns
  # @return [UringMachine::Actor]
  def spin_actor(mod, ...)
    target = Object.new.extend(mod)
    target.setup(...) if target.respond_to?(:setup)
    Actor.__send__(:spin_in, self, self, target)
  end

  # Makes an actor in a thread, and a machine, of its own. The thread ends with the actor.
  # @param mod [Module] as for {#spin_actor}; `setup` is called in the thread
  # @return [UringMachine::Actor]
  # @raise what `setup` raises
  def spin_thread_actor(mod, *args, **options)
    started = Queue.new
    Thread.new { Actor.__send__(:live_in_thread, self, started, mod, args, options) }
    actor = shift(started)
    raise actor if actor.is_a?(Exception)

    actor
  end

  class << Actor
    private

    def spin_in(machine, creator, target)
      actor = machine.spin(nil, self) { actor.run(target) }
      actor.belongs_to(machine, creator)
      actor
    end

    def live_in_thread(creator, started, mod, args, options)
      Thread.current.report_on_exception = false
      machine = Thread.current.machine
      target = Object.new.extend(mod)
      target.setup(*args, **options) if target.respond_to?(:setup)
      actor = spin_in(machine, creator, target)
      machine.push(started, actor)
      machine.join(actor)
    rescue Exception => e # rubocop:disable Lint/RescueException
      # Whatever kept it from starting is for the one who waits for it.
      actor ? raise : creator.push(started, e)
    end
  end
end
