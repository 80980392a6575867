# frozen_string_literal: true

# Compiles the extension when the gem is installed, by RubyGems or Bundler, and writes the Makefile that
# they call afterwards. A checkout is compiled by bin/setup.

require_relative "toolchain"

abort "polyphony-rs runs on Linux, whose io_uring it is made for." unless RUBY_PLATFORM.include?("linux")

work = File.join(__dir__, "target")
built = "polyphony_rs.#{RbConfig::CONFIG["DLEXT"]}"
make = (ENV["MAKE"] || ENV["make"] || "make").split.first.to_s

begin
  # RubyGems says of a missing make no more than that, and only when all is compiled.
  folders = ENV.fetch("PATH", "").split(File::PATH_SEPARATOR)
  found = folders.any? { |folder| File.executable?(File.expand_path(make, folder)) }
  raise Toolchain::Missing.new(Toolchain::NEEDS.first, "") unless found

  FileUtils.mv(Toolchain.new(profile: "gem", target_dir: work).build, File.join(__dir__, built))
rescue Toolchain::Missing => e
  abort e.message
ensure
  FileUtils.rm_rf(work)
end

# What is installed goes to RubyGems' folder for extensions, which Rubies of different series don't
# share, and where it is kept when another of them installs the gem anew. RubyGems copies it into lib/
# as well and then calls clean, once more: that copy goes.
File.write("Makefile", <<~MAKEFILE)
  sitearchdir = #{RbConfig::CONFIG["sitearchdir"]}
  folder = polyphony_rs/#{RUBY_VERSION[/\A\d+\.\d+/]}
  lib = ../../lib

  .PHONY: all install clean
  all:

  install:
  \tmkdir -p "$(DESTDIR)$(sitearchdir)/$(folder)"
  \tcp #{built} "$(DESTDIR)$(sitearchdir)/$(folder)/#{built}"

  clean:
  \tif cmp -s #{built} $(lib)/$(folder)/#{built}; then \\
  \t  rm #{built} $(lib)/$(folder)/#{built}; \\
  \t  rmdir -p $(lib)/$(folder) 2>/dev/null || true; \\
  \tfi
MAKEFILE
