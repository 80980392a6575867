# frozen_string_literal: true

require "fileutils"
require "open3"
require "tmpdir"

module SpecSupport
  # An empty GEM_HOME, and processes that see no other gems, and nothing of this checkout or Bundler.
  class GemHome
    ROOT = File.expand_path("../..", __dir__)

    # @return [String] the folder of all this; `home` in it is the GEM_HOME
    attr_reader :folder

    # @param ruby [String] the Ruby that installs and runs
    # @param environment [Hash] changed variables
    def initialize(ruby: RbConfig.ruby, environment: {})
      @ruby = ruby
      @folder = Dir.mktmpdir("polyphony-gem")
      @unrelated = File.join(@folder, "unrelated")
      FileUtils.mkdir_p(@unrelated)
      @environment = clean_environment.merge(environment)
    end

    def remove = FileUtils.rm_rf(@folder)

    # @return [String] what it prints
    # @raise [RuntimeError] where it fails
    def run_ruby(*arguments, chdir: @unrelated)
      output, status = try_ruby(*arguments, chdir:)
      raise "ruby #{arguments.join(" ")} failed (#{status}):\n#{output}" unless status.success?

      output
    end

    def try_ruby(*arguments, chdir: @unrelated)
      Open3.capture2e(@environment, @ruby, *arguments, chdir:)
    end

    def run_gem(*arguments, chdir: @unrelated) = run_ruby(*gem_command, *arguments, chdir:)
    def try_gem(*arguments, chdir: @unrelated) = try_ruby(*gem_command, *arguments, chdir:)

    # The extensions that a program has loaded after `require "uringmachine"`.
    def loaded_libraries
      run_ruby("-e", <<~'RUBY').lines.map(&:chomp)
        require "uringmachine"
        puts $LOADED_FEATURES.grep(/polyphony_rs\.so\z/)
      RUBY
    end

    private

    def gem_command = ["-e", 'require "rubygems/gem_runner"; Gem::GemRunner.new.run(ARGV)', "--"]

    def clean_environment
      {
        "GEM_HOME" => File.join(@folder, "home"), "GEM_PATH" => File.join(@folder, "home"),
        "RUBYOPT" => nil, "RUBYLIB" => nil, "BUNDLE_GEMFILE" => nil, "BUNDLE_PATH" => nil,
        "CARGO_TARGET_DIR" => nil, "RUBY" => nil,
        "CARGO_BUILD_BUILD_DIR" => File.expand_path("target/gem-spec-#{RUBY_VERSION[/\A\d+\.\d+/]}", ROOT)
      }
    end
  end
end
