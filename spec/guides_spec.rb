# frozen_string_literal: true

# The programs in docs/guides/ print what the guides say.
RSpec.describe "the guides" do
  folder = File.expand_path("../docs/guides", __dir__)
  guides = Dir.children(folder).sort.to_h { |name| [name, File.read(File.join(folder, name))] }

  guides.each do |name, text|
    programs = text.scan(/^```ruby\n(.*?)^```\n\n```text\n(.*?)^```/m)

    programs.each.with_index(1) do |(program, output), number|
      it "in #{name}, program #{number} prints what it says" do
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
