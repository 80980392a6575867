# frozen_string_literal: true

# The programs in docs/guides/ print what the guides say.
RSpec.describe "the guides" do
  folder = File.expand_path("../docs/guides", __dir__)
  guides = Dir.children(folder).sort.to_h { |name| [name, File.read(File.join(folder, name))] }

  # Methods that a guide tells of; a program that calls one is run once there is such a method.
  methods = %i[cancel_after move_on_after receive every throttled_loop spin_loop spin_scope supervise]
  fiber_methods = %i[stop]
  singleton_methods = %i[select]

  absent = nil
  define_method(:missing_for) do |program|
    absent ||= ruby_program(<<~RUBY).stdout.split
      require "polyphony"
      puts(#{methods}.reject { |name| respond_to?(name, true) },
           #{fiber_methods}.reject { |name| Fiber.method_defined?(name) },
           #{singleton_methods}.reject { |name| Fiber.respond_to?(name) })
    RUBY
    absent.select { |name| program.match?(/\b#{name}\b/) }
  end

  guides.each do |name, text|
    programs = text.scan(/^```ruby\n(.*?)^```\n\n```text\n(.*?)^```/m)

    programs.each.with_index(1) do |(program, output), number|
      it "in #{name}, program #{number} prints what it says" do
        missing = missing_for(program)
        skip "there is no #{missing.join(", ")} yet" if missing.any?

        outcome = ruby_program(program)
        expect(outcome.stdout).to eq(output), outcome.to_s
        expect(outcome).to be_success, outcome.to_s
      end
    end

    it "#{name} has no program without its output" do
      expect(text.scan(/^```ruby$/).size).to eq(programs.size)
    end
  end
end
