# frozen_string_literal: true

# The signatures in sig/ are valid, and there is one for every public method and none for others.
RSpec.describe "the signatures" do
  # In a process of its own, as it loads everything.
  program = <<~'RUBY'
    begin
      require "rbs"
    rescue LoadError
      puts "no rbs"
      exit
    end
    require "polyphony"
    require "uringmachine/scheduler_contract"

    loader = RBS::EnvironmentLoader.new
    loader.add(library: "socket", version: nil)
    loader.add(path: Pathname(ARGV[0]))
    internal = ARGV.drop(1)
    environment = RBS::Environment.from_loader(loader).resolve_type_names
    builder = RBS::DefinitionBuilder.new(env: environment)
    builder.method_builder

    # The names that sig/ declares for a class itself, public ones.
    declared = lambda do |definition|
      definition.methods.filter_map do |name, method|
        ours = method.defs.any? do |type|
          type.implemented_in == definition.type_name && type.member.location.buffer.name.to_s.start_with?(ARGV[0])
        end
        name if ours && method.accessibility == :public
      end
    end

    check = lambda do |title, names, actual|
      actual = actual.reject { |name| internal.include?("#{title}#{name}") }
      (actual - names).each { |name| puts "#{title}#{name} has no signature" }
      (names - actual).each { |name| puts "#{title}#{name} does not exist" }
    end

    # RBS 3.8 has given it a name of its own.
    type_name = ->(name) { RBS::TypeName.respond_to?(:parse) ? RBS::TypeName.parse(name) : TypeName(name) }
    whole = [UringMachine, UringMachine::FiberScheduler, Polyphony, Polyphony::Pipe, Polyphony::BaseException,
             UringMachine::Queue, UringMachine::Mutex, UringMachine::AsyncOp, UringMachine::IO,
             UringMachine::DNSResolver, UringMachine::Selector, UringMachine::SchedulerContract,
             Polyphony::Queue, Polyphony::Channel, Polyphony::Event, Polyphony::Mutex, Polyphony::ConditionVariable, Polyphony::Monitor,
             Polyphony::ResourcePool, Polyphony::ThreadPool, Polyphony::Throttler, Polyphony::Timer,
             Polyphony::TimeLimit]
    whole.each do |mod|
      name = type_name.call("::#{mod.name}")
      instance = declared.call(builder.build_instance(name))
      check.call("#{mod}#", instance - [:initialize], mod.public_instance_methods(false))
      singleton = declared.call(builder.build_singleton(name)) - [:new]
      check.call("#{mod}.", singleton, mod.singleton_methods(false))
    end

    declared_constants = environment.constant_decls.keys.filter_map do |name|
      name.name if name.namespace.to_s == "::UringMachine::"
    end
    constants = UringMachine.constants.reject { |name| UringMachine.const_get(name).is_a?(Module) }
    check.call("UringMachine::", declared_constants, constants)

    [Fiber, Thread, Kernel, IO, TCPServer, UNIXServer, Socket].each do |mod|
      name = type_name.call("::#{mod.name}")
      declared.call(builder.build_instance(name)).each do |method|
        puts "#{mod}##{method} does not exist" unless mod.method_defined?(method)
      end
      declared.call(builder.build_singleton(name)).each do |method|
        puts "#{mod}.#{method} does not exist" unless mod.respond_to?(method)
      end
    end
    puts "checked"
  RUBY

  # Not for programs: used by the Ruby layer, or by Ruby itself.
  internal = %w[Polyphony.accept_each Polyphony.start Polyphony.proxy_by_fibers
                Polyphony.read_chunks Polyphony.recv_chunks Polyphony.feed_chunks
                UringMachine#inspect UringMachine.closing UringMachine::FiberScheduler.new
                UringMachine#__let_go__ UringMachine#__waits__
                UringMachine#__initialized__? UringMachine#__mine__?]

  it "say what there is" do
    outcome = ruby_program(program, File.expand_path("../sig", __dir__), *internal, timeout: 30)
    skip "the rbs gem is missing" if outcome.stdout == "no rbs\n"
    expect(outcome.stdout).to eq("checked\n"), outcome.stdout + outcome.stderr
  end
end
