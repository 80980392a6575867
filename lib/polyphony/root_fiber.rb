# frozen_string_literal: true

require "socket"

module Polyphony
  # The root fiber of a thread is blocking: in it Ruby asks no scheduler, and a core call that
  # waits would hold up every fiber. Here such calls are carried out by a helper fiber, while the
  # root fiber waits in the machine.
  #
  # Only methods that take no block and own nothing per fiber are among them. `gets` and `readline`
  # set the caller's `$_`, so they have native wrappers ({Lines}). To leave it out:
  # `POLYPHONY_ROOT_FIBER=0` in the environment.
  module RootFiber
    # Instance methods by class.
    INSTANCE_METHODS = {
      IO => %i[read write readpartial readbyte readchar getbyte getc sysread syswrite wait
               wait_readable wait_writable],
      TCPServer => %i[accept],
      UNIXServer => %i[accept],
      Socket => %i[accept connect],
      BasicSocket => %i[recv],
      TCPSocket => %i[initialize],
      Thread => %i[join value],
      Thread::SizedQueue => %i[push << enq],
      Kernel => %i[system `]
    }.freeze

    # Methods of modules and classes themselves.
    SINGLETON_METHODS = {
      IO => %i[select],
      Kernel => %i[system `],
      Process => %i[wait wait2 waitpid waitpid2 waitall],
      Process::Status => %i[wait]
    }.freeze

    # `gets` and `readline` by the class that has them; those of Kernel call the ones of ARGF.
    LINES = [IO, ARGF.class].to_h do |owner|
      [owner, %i[gets readline].to_h { |name| [name, owner.instance_method(name)] }]
    end

    # To take from a queue that isn't empty is no wait. That is found out first: who asks is
    # looked at only where there is nothing.
    module Taking
      %i[pop shift deq].each do |name|
        module_eval(<<~RUBY, __FILE__, __LINE__ + 1)
          def #{name}(non_block = false, timeout: nil)
            unless empty? || timeout
              begin
                return super(true)
              rescue ThreadError
                # Another thread was quicker.
              end
            end
            return super unless RootFiber.applies?

            RootFiber.run { super }
          end
        RUBY
      end
    end

    module_function

    # Whether the running fiber is one that a scheduler of ours can't see.
    def applies?
      Fiber.blocking? && Fiber.scheduler.is_a?(Scheduler)
    end

    # Runs a block in a helper fiber and waits for it. When the wait is interrupted, the helper
    # is ended first, so that it takes nothing away that nobody will see.
    # @return [Object] the block's value
    def run(&operation) # rubocop:disable Naming/BlockForwarding -- not in a block, on 3.3.0
      machine = Polyphony.machine
      helper = nil
      begin
        # An interrupt may come up in `spin` itself: a helper that nobody knows does nothing.
        helper = machine.spin { call(&operation) if helper } # rubocop:disable Naming/BlockForwarding
        machine.await(helper) until helper.done?
      ensure
        finish(machine, helper) unless helper.nil? || helper.done?
      end
      value, error = helper.result
      raise with_callers(error) if error

      value
    end

    # The helper's part of the backtrace goes on with that of the root fiber. What was raised
    # elsewhere (in a thread that is joined, say) keeps its own.
    def with_callers(error)
      lines = error.backtrace
      error.set_backtrace(lines + caller(2)) if lines&.last&.start_with?(__FILE__)
      error
    end

    def call
      [yield, nil]
    rescue Exception => e # rubocop:disable Lint/RescueException
      [nil, e]
    end

    # What {Lines} calls in a root fiber.
    # @param arguments [Array] of `gets` or `readline`
    # @return [String, nil]
    def line(io, name, arguments)
      method = LINES.fetch(io.is_a?(IO) ? IO : ARGF.class).fetch(name)
      keywords = arguments.last.is_a?(Hash) ? arguments.pop : {}
      run { method.bind_call(io, *arguments, **keywords) }
    end

    def finish(machine, helper)
      machine.schedule(helper, Terminate.new)
      machine.await(helper) until helper.done?
    end

    # Puts a wrapper before each method. {Sleep} and {Timeouts} need no helper.
    def install
      Sleep.install
      Timeouts.install
      INSTANCE_METHODS.each { |owner, names| owner.prepend(wrapper(owner, names)) }
      SINGLETON_METHODS.each do |owner, names|
        owner.singleton_class.prepend(wrapper(owner.singleton_class, names))
      end
      LINES.each_key { |owner| owner.prepend(Lines) }
      [Thread::Queue, Thread::SizedQueue].each { |owner| owner.prepend(Taking) }
    end

    # A module with these methods of a class, each as public or private as it was.
    def wrapper(owner, names)
      Module.new do
        names.each do |name|
          visibility = owner.private_method_defined?(name) ? "private" : "public"
          module_eval(<<~RUBY, __FILE__, __LINE__ + 1)
            #{visibility} def #{name}(...)
              return super unless RootFiber.applies?

              RootFiber.run { super }
            end
          RUBY
        end
      end
    end
  end
end
