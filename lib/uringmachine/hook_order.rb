# frozen_string_literal: true

class UringMachine
  # The order of the numbers that Ruby passes to the read and write hooks. That of Ruby 3.3 to 4.0 is
  # known. A later one is asked when the library is loaded: a buffer is read with numbers that tell
  # themselves apart, under a scheduler that notes what it is given.
  #
  # @api private
  module HookOrder
    # The numbers.
    NUMBERS = { from: 1, length: 2, offset: 3 }.freeze
    # Bytes, enough for these.
    SIZE = 8

    # A scheduler for the question.
    class Probe
      # @return [Hash{Symbol => Array}] what each hook was given
      attr_reader :given

      def initialize = @given = {}

      %i[io_read io_pread].each do |hook|
        define_method(hook) do |*arguments|
          @given[hook] = arguments
          0
        end
      end

      # Hook of Fiber.schedule.
      def fiber(&) = Fiber.new(blocking: false, &).tap(&:resume)

      # Hooks that are not called, and without which there is no scheduler, or a warning.
      def block(*) = true
      alias unblock block
      alias kernel_sleep block
      alias io_wait block
      alias fiber_interrupt block
      alias close block
    end

    module_function

    # Finds the order out and tells the hooks.
    # @return [void]
    def learn
      given = ask
      names = %i[io_read io_pread].map { |hook| names_of(given[hook]) }
      FiberScheduler.__send__(:learn_order, *names) if names.all? { |list| list&.include?(:offset) }
    end

    # What the hooks are given. In a thread of its own, which may have any scheduler.
    # @return [Hash{Symbol => Array}]
    def ask
      probe = Probe.new
      Thread.new do
        Fiber.set_scheduler(probe)
        ::File.open(::File::NULL) do |file|
          Fiber.schedule do
            buffer = ::IO::Buffer.new(SIZE)
            buffer.read(file, *NUMBERS.values_at(:length, :offset))
            buffer.pread(file, *NUMBERS.values_at(:from, :length, :offset))
          end
        end
      end.join
      probe.given
    end

    # @return [Array<Symbol, nil>, nil] the names of the numbers, nil for what is no number
    def names_of(arguments)
      arguments&.map { |argument| NUMBERS.key(argument) if argument.is_a?(Integer) }
    end
  end
end

UringMachine::HookOrder.learn if RUBY_VERSION >= "4.1"
