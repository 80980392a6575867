# frozen_string_literal: true

# The table of what runs, in docs/ecosystem.md.
RSpec.describe "docs/ecosystem.md" do
  root = File.expand_path("../..", __dir__)
  named = File.read(File.join(root, "docs/ecosystem.md")).scan(%r{`(spec/\S+_spec\.rb)`}).flatten.uniq

  it "names specs that are there" do
    expect(named.reject { |path| File.exist?(File.join(root, path)) }).to eq([])
  end

  it "names all specs of this folder" do
    here = Dir.glob("spec/ecosystem/*_spec.rb", base: root) - ["spec/ecosystem/table_spec.rb"]
    expect(here - named).to eq([])
  end
end
