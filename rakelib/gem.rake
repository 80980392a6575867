# frozen_string_literal: true

require "open3"
require "shellwords"
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

# A Ruby's series; nil where it doesn't run or is too old.
series_of = lambda do |path|
  program = "exit RUBY_VERSION.to_f >= 3.3 && print(RUBY_VERSION[/[0-9]+[.][0-9]+/]).nil?"
  series, status = Open3.capture2(path, "--disable=gems", "-e", program)
  series if status.success?
rescue SystemCallError
  nil
end

# The Rubies to compile for, by series: RUBIES, or this one and those that bin/setup has built.
rubies = lambda do
  caches = ENV.fetch("XDG_CACHE_HOME") { File.join(Dir.home, ".cache") }
  cache = ENV.fetch("POLYPHONY_CACHE") { File.join(caches, "polyphony-rs") }
  named = ENV["RUBIES"]&.split
  paths = named || [RbConfig.ruby, *Dir.glob("#{cache}/ruby-*/bin/ruby")]
  found = paths.to_h { |path| [path, series_of.call(path)] }
  refused = found.select { |_, series| series.nil? }.keys
  abort "no Ruby 3.3 or newer: #{refused.join(" ")}" if named && refused.any?
  found.compact.invert
end

# What tells rb-sys of the Ruby to compile for: the answers of `rake gem:headers`, where they are there,
# or a Ruby that it can ask, which has to be of the platform itself.
ruby_of = lambda do |platform, series, ruby|
  target, here = [platform, Gem::Platform.local.to_s].map { |name| name.sub(/linux\z/, "linux-gnu") }
  answers = "tmp/headers/#{target}/#{series}/rbconfig.env"
  if File.exist?(answers)
    Shellwords.split(File.read(answers)).to_h { |line| line.split("=", 2) }
  elsif target == here
    { "RUBY" => ruby }
  else
    abort "#{ruby} is no Ruby for #{platform}, and there is no #{answers}: rake \"gem:headers[#{target}]\""
  end
end

# Compiles for one Ruby on a platform; the library's path.
compile = lambda do |platform, series, ruby|
  target = RUST_TARGETS.fetch(platform) { abort "#{platform} is none of #{RUST_TARGETS.keys.join(", ")}" }
  triple = target.delete_suffix(".#{GLIBC_FLOOR}")
  folder = File.expand_path("target/gem-#{series}")
  environment = ruby_of.call(platform, series, ruby).merge("CARGO_TARGET_DIR" => folder)
  # For musl Rust links statically, and then Ruby couldn't load the extension.
  if platform.end_with?("musl")
    environment["CARGO_TARGET_#{triple.upcase.tr("-", "_")}_RUSTFLAGS"] = "-C target-feature=-crt-static"
  end
  sh(environment, "bin/support/zigbuild.sh", "--locked",
     "--package", "polyphony_rs", "--profile", "gem", "--target", target)
  File.join(folder, triple, "gem", "libpolyphony_rs.so")
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
