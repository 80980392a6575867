# frozen_string_literal: true

require_relative "../support/gem_home"
require_relative "../../bin/support/platform_gem"

# A gem with the libraries that bin/setup has compiled, installed where nothing could be compiled.
# (`rake gem:precompiled` compiles them for an old C library; that is its only difference.)
RSpec.describe "the precompiled gem", :packaging, time_limit: 120 do
  libraries = Dir.glob(File.join(SpecSupport::GemHome::ROOT, "lib/polyphony_rs/*/polyphony_rs.so"))
                 .to_h { |path| [path[%r{/([^/]+)/polyphony_rs\.so\z}, 1], path] }
  # The one that runs this, those of RUBIES, and those that bin/setup has built.
  caches = ENV.fetch("XDG_CACHE_HOME") { File.join(Dir.home, ".cache") }
  cache = ENV.fetch("POLYPHONY_CACHE") { File.join(caches, "polyphony-rs") }
  paths = [RbConfig.ruby, *ENV.fetch("RUBIES", "").split, *Dir.glob("#{cache}/ruby-*/bin/ruby")]
  rubies = paths.reverse.to_h do |path|
    [`#{path} --disable=gems -e 'print RUBY_VERSION[/\\A\\d+\\.\\d+/]'`, path]
  end

  before(:context) do
    @folder = Dir.mktmpdir("polyphony-precompiled")
    @package = PlatformGem.new(Gem::Platform.local.to_s, libraries).build(@folder)
  end

  after(:context) { FileUtils.rm_rf(@folder) }

  rubies.slice(*libraries.keys).each do |series, ruby|
    describe "on Ruby #{series}" do
      before(:context) do
        # No compiler, no cargo, no make.
        nothing = { "PATH" => "/nonexistent", "CARGO_HOME" => "/nonexistent" }
        @home = SpecSupport::GemHome.new(ruby:, environment: nothing)
        @home.run_gem("install", "--local", "--no-document", @package)
      end

      after(:context) { @home.remove }

      it "runs a program" do
        expect(@home.run_ruby("-e", 'require "polyphony"; p spin { sleep 0.001; 42 }.await')).to eq("42\n")
      end

      it "picks the library of this Ruby" do
        library = "/lib/polyphony_rs/#{series}/polyphony_rs.so"
        expect(@home.loaded_libraries).to contain_exactly(end_with(library))
      end
    end
  end

  it "contains a library for each Ruby and nothing to compile" do
    spec = Gem::Package.new(@package).spec
    expect(spec.extensions).to be_empty
    paths = libraries.keys.map { |series| "lib/polyphony_rs/#{series}/polyphony_rs.so" }
    expect(spec.files.grep(/\.so\z/)).to match_array(paths)
    expect(spec.files.grep(%r{\A(src|ext)/|\ACargo})).to be_empty
  end

  it "is for the Rubies that it has a library for" do
    requirement = Gem::Package.new(@package).spec.required_ruby_version
    versions = libraries.keys.map { Gem::Version.new("#{_1}.0") }
    expect(versions).to all(satisfy { requirement.satisfied_by?(_1) })
    expect(requirement.satisfied_by?(versions.max.bump)).to be(false)
  end

  it "is named for this machine's platform" do
    expect(File.basename(@package)).to end_with("-#{Gem::Platform.local}.gem")
  end
end
