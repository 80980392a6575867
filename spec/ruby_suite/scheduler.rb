# frozen_string_literal: true

# Stands in for test/fiber/scheduler.rb of Ruby's sources.

$LOAD_PATH.unshift(File.expand_path("../../lib", __dir__))

require "prism"
require "socket"
require "io/nonblock"
require "uringmachine"

# What the tests know of the class that they come with.
class Scheduler < UringMachine::FiberScheduler
  attr_reader :waiting

  def initialize(fiber = Fiber.current)
    super()
    @fiber = fiber
    @waiting = {}
    enable_blocking_operations if ENV["RUBY_SUITE_BLOCKING_OPERATIONS"]
  end

  def transfer = @fiber.transfer

  def closed? = @closed == true

  def scheduler_close
    super
  ensure
    @closed = true
  end

  def kernel_sleep(*)
    fiber = Fiber.current
    @waiting[fiber] = true
    super
  ensure
    @waiting.delete(fiber)
  end

  def report_exception(fiber, exception)
    Recording.fiber_errors << exception if defined?(Recording)
    super
  end
end

if ENV["RUBY_SUITE_CONTRACT"]
  require "uringmachine/scheduler_contract"

  Fiber.singleton_class.prepend(Module.new do
    def set_scheduler(scheduler)
      super(scheduler.is_a?(Scheduler) ? UringMachine::SchedulerContract.new(scheduler) : scheduler)
    end
  end)
end

# In the tests this one adds the hooks for reading and writing; ours has them.
IOBufferScheduler = Class.new(Scheduler)

# The others are broken in some way, whichever class they are derived from: they are read from the
# tests' own file.
def derive_schedulers(path)
  Prism.parse_file(path).value.statements.body.grep(Prism::ClassNode).each do |node|
    next if node.superclass&.slice != "Scheduler" || node.name == :IOBufferScheduler

    eval(node.slice, TOPLEVEL_BINDING, path, node.location.start_line) # rubocop:disable Security/Eval
  end
end
