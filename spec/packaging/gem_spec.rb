# frozen_string_literal: true

require_relative "../support/gem_home"

# Builds the gem, installs it into an empty GEM_HOME the way a user's machine would, and loads
# it from an unrelated folder. Everything is compiled anew but the dependencies' crates, which
# newer cargos keep from one run to the next (CARGO_BUILD_BUILD_DIR).
RSpec.describe "the packaged gem", :packaging, :slow, time_limit: 600 do
  before(:context) do
    @home = SpecSupport::GemHome.new
    @package = File.join(@home.folder, "polyphony-rs.gem")
    @home.run_gem("build", "polyphony-rs.gemspec", "--output", @package, chdir: SpecSupport::GemHome::ROOT)
    @home.run_gem("install", "--local", "--no-document", @package)
  end

  after(:context) { @home.remove }

  %w[polyphony-rs polyphony uringmachine].each do |feature|
    it "runs a program after require #{feature.inspect}" do
      expect(@home.run_ruby("-e", "require #{feature.inspect}; p UM.new.metrics[:ops_pending]")).to eq("0\n")
    end
  end

  it "loads its own library and not the checkout's" do
    expect(@home.loaded_libraries).to contain_exactly(start_with(File.realpath(@home.folder)))
  end

  it "installs one library, without what debuggers read, and keeps nothing of the compilation" do
    libraries = Dir.glob(File.join(@home.folder, "home", "**", "*.so"))
    # In lib/ it would go when a Ruby of another series that shares the GEM_HOME installs the gem.
    expect(libraries).to contain_exactly(
      match(%r{/home/extensions/.+/polyphony_rs/#{RUBY_VERSION[/\A\d+\.\d+/]}/polyphony_rs\.so\z})
    )
    # Not the file's bytes: Rust's library has the names of such sections among its strings.
    sections, = Open3.capture2("readelf", "--sections", "--wide", libraries.first)
    expect(sections).to include(" .text ")
    expect(sections).not_to match(/ \.(?:debug_\w+|symtab) /)
    expect(Dir.glob(File.join(@home.folder, "home", "**", "{target,*.o,*.rlib}"))).to be_empty
  end

  it "contains sources and no compiled library, spec or tool" do
    files = @home.run_gem("specification", @package, "files", "--yaml")
    expect(files).to include(*%w[ext/polyphony_rs/Cargo.toml Cargo.lock src/lib.rs examples/echo_server.rb])
    expect(files).not_to match(%r{\.so$|- spec/|- bin/|- target/})
  end

  it "has the version that Cargo, Polyphony and UringMachine have" do
    versions = @home.run_ruby("-e", <<~RUBY)
      require "polyphony"
      puts Gem.loaded_specs["polyphony-rs"].version, Polyphony::VERSION, UringMachine::VERSION
    RUBY
    cargo = File.read(File.join(SpecSupport::GemHome::ROOT, "Cargo.toml"))[/^version = "(.*)"/, 1]
    expect(versions.split).to eq([cargo] * 3)
  end
end
