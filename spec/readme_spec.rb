# frozen_string_literal: true

# The programs in README.md do what it says.
RSpec.describe "README.md" do
  text = File.read(File.expand_path("../README.md", __dir__))
  sections = text.split(/^(?=##)/).to_h { |section| [section[/\A#+ (.+)$/, 1], section] }
  pattern = /^```ruby\n(.*?)^```\n\n```text\n(.*?)^```/m
  programs = sections.transform_values { |section| section.scan(pattern) }

  programs.each do |title, pairs|
    pairs.each.with_index(1) do |(program, output), number|
      it "shows program #{number} for #{title.downcase.inspect}, which prints what it says" do
        outcome = ruby_program(program)
        expect(outcome.stdout).to eq(output), outcome.to_s
        expect(outcome).to be_success
      end
    end
  end

  it "shows one for each of the three doors, and none without its output" do
    expect(programs.fetch_values("The machine", "The scheduler", "Polyphony").map(&:size)).to all(be_positive)
    expect(text.scan(/^```ruby$/).size).to eq(programs.sum { |_, pairs| pairs.size })
  end

  it "names files and folders that are there" do
    root = File.expand_path("..", __dir__)
    names = text.scan(%r{`([\w.-]+/[\w./-]*|[A-Z]+\.md|LICENSE)`}).flatten
    expect(names.grep_v(%r{\Abin/}).size).to be > 5
    expect(names.reject { |name| File.exist?(File.join(root, name)) }).to eq([])
  end
end
