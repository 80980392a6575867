# frozen_string_literal: true

require_relative "../bin/support/glibc"
require_relative "../bin/support/platform_gem"

# The oldest C library that a gem for glibc runs on: that of Debian 10 and RHEL 8.
GLIBC_FLOOR = "2.28"

# What Rust calls the platforms.
RUST_TARGETS = {
  "x86_64-linux" => "x86_64-unknown-linux-gnu.#{GLIBC_FLOOR}",
  "x86_64-linux-gnu" => "x86_64-unknown-linux-gnu.#{GLIBC_FLOOR}",
  "x86_64-linux-musl" => "x86_64-unknown-linux-musl",
  "aarch64-linux" => "aarch64-unknown-linux-gnu.#{GLIBC_FLOOR}",
  "aarch64-linux-gnu" => "aarch64-unknown-linux-gnu.#{GLIBC_FLOOR}",
  "aarch64-linux-musl" => "aarch64-unknown-linux-musl"
}.freeze

# The Rubies to compile for, by series: RUBIES, or this one and those that bin/setup has built.
rubies = lambda do
  caches = ENV.fetch("XDG_CACHE_HOME") { File.join(Dir.home, ".cache") }
  cache = ENV.fetch("POLYPHONY_CACHE") { File.join(caches, "polyphony-rs") }
  paths = ENV["RUBIES"]&.split || [RbConfig.ruby, *Dir.glob("#{cache}/ruby-*/bin/ruby")]
  paths.to_h { |path| [`#{path} --disable=gems -e 'print RUBY_VERSION[/\\A\\d+\\.\\d+/]'`, path] }
end

# Compiles for one Ruby on a platform; the library's path.
compile = lambda do |platform, series, ruby|
  target = RUST_TARGETS.fetch(platform)
  folder = File.expand_path("target/gem-#{series}")
  sh({ "RUBY" => ruby, "CARGO_TARGET_DIR" => folder }, "bin/support/zigbuild.sh", "--locked",
     "--package", "polyphony_rs", "--profile", "gem", "--target", target)
  File.join(folder, target.delete_suffix(".#{GLIBC_FLOOR}"), "gem", "libpolyphony_rs.so")
end

check_glibc = lambda do |path|
  needed = Glibc.needed_by(path)
  puts "#{path}: #{File.size(path) / 1000} kB, needs #{needed ? "glibc #{needed}" : "no glibc"}"
  abort "newer than glibc #{GLIBC_FLOOR}" if needed && needed > Gem::Version.new(GLIBC_FLOOR)
end

namespace :gem do
  desc "Package the source gem into pkg/ (compiles on the user's machine)"
  task :build do
    mkdir_p "pkg", verbose: false
    mv Gem::Package.build(Gem::Specification.load("polyphony-rs.gemspec")), "pkg"
  end

  desc "Package a gem for a platform (#{RUST_TARGETS.keys.join(", ")}), with a library for each of RUBIES"
  task :platform, [:name] do |_task, arguments|
    platform = arguments[:name] or abort "which platform? one of #{RUST_TARGETS.keys.join(", ")}"
    libraries = rubies.call.to_h { |series, ruby| [series, compile.call(platform, series, ruby)] }
    libraries.each_value(&check_glibc)
    puts PlatformGem.new(platform, libraries).build("pkg")
  end

  desc "Package the gem for this machine's platform"
  task(:precompiled) { Rake::Task["gem:platform"].invoke(Gem::Platform.local.to_s) }

  desc "Build, install and try the gem in an empty GEM_HOME"
  task :verify do
    sh "bin/test", "--only", "spec", "--", "spec/packaging"
  end
end
