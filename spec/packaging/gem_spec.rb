# frozen_string_literal: true

require "fileutils"
require "open3"
require "tmpdir"

# Builds the gem, installs it into an empty GEM_HOME the way a user's machine would, and loads
# it from an unrelated folder. Everything is compiled anew but the dependencies' crates, which
# newer cargos keep from one run to the next (CARGO_BUILD_BUILD_DIR).
RSpec.describe "the packaged gem", :packaging, :slow, time_limit: 600 do
  root = File.expand_path("../..", __dir__)

  before(:context) do
    @folder = Dir.mktmpdir("polyphony-gem")
    @unrelated = File.join(@folder, "unrelated")
    FileUtils.mkdir_p(@unrelated)
    @package = File.join(@folder, "polyphony-rs.gem")
    run_gem("build", "polyphony-rs.gemspec", "--output", @package, chdir: root)
    run_gem("install", "--local", "--no-document", @package, chdir: @unrelated)
  end

  after(:context) { FileUtils.rm_rf(@folder) }

  # Nothing of this checkout or of Bundler may reach these processes.
  def environment
    series = RUBY_VERSION[/\A\d+\.\d+/]
    {
      "GEM_HOME" => File.join(@folder, "home"), "GEM_PATH" => File.join(@folder, "home"),
      "RUBYOPT" => nil, "RUBYLIB" => nil, "BUNDLE_GEMFILE" => nil, "BUNDLE_PATH" => nil,
      "CARGO_TARGET_DIR" => nil, "RUBY" => RbConfig.ruby,
      "CARGO_BUILD_BUILD_DIR" => File.expand_path("../../target/gem-#{series}", __dir__)
    }
  end

  def run_ruby(*arguments, chdir: @unrelated)
    output, status = Open3.capture2e(environment, RbConfig.ruby, *arguments, chdir:)
    raise "ruby #{arguments.join(" ")} failed (#{status}):\n#{output}" unless status.success?

    output
  end

  def run_gem(*arguments, chdir:)
    run_ruby("-e", 'require "rubygems/gem_runner"; Gem::GemRunner.new.run(ARGV)', "--", *arguments, chdir:)
  end

  %w[polyphony-rs polyphony uringmachine].each do |feature|
    it "runs a program after require #{feature.inspect}" do
      output = run_ruby("-e", "require #{feature.inspect}; p UM.new.metrics[:ops_pending]")
      expect(output).to eq("0\n")
    end
  end

  it "loads its own library and not the checkout's" do
    output = run_ruby("-e", <<~'RUBY')
      require "uringmachine"
      puts $LOADED_FEATURES.grep(/polyphony_rs\.so\z/)
    RUBY
    expect(output.lines.map(&:chomp)).to contain_exactly(start_with(File.realpath(@folder)))
  end

  it "contains sources and no compiled library, spec or tool" do
    files = run_gem("specification", @package, "files", "--yaml", chdir: @unrelated)
    expect(files).to include("ext/polyphony_rs/Cargo.toml", "Cargo.lock", "src/lib.rs")
    expect(files).not_to match(%r{\.so$|- spec/|- bin/|- target/})
  end
end
