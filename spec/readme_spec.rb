# frozen_string_literal: true

# The programs in README.md do what it says.
RSpec.describe "README.md" do
  text = File.read(File.expand_path("../README.md", __dir__))
  programs = text.scan(/^### (.+?)$.*?^```ruby\n(.*?)^```.*?^```text\n(.*?)^```/m)

  programs.each do |title, program, output|
    it "shows a program for #{title.downcase.inspect} that prints what it says" do
      outcome = ruby_program(program)
      expect(outcome.stdout).to eq(output), outcome.to_s
      expect(outcome).to be_success
    end
  end

  it "shows one for each of the three doors" do
    expect(programs.size).to eq(3)
  end

  it "names files and folders that are there" do
    root = File.expand_path("..", __dir__)
    names = text.scan(%r{`([\w.-]+/[\w./-]*|[A-Z]+\.md|LICENSE)`}).flatten
    expect(names.grep_v(%r{\Abin/}).size).to be > 5
    expect(names.reject { |name| File.exist?(File.join(root, name)) }).to eq([])
  end
end
