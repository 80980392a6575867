# frozen_string_literal: true

# Compiles the extension when the gem is installed. RubyGems calls it and then make, for which there
# is nothing left to do: the library lies in lib/ already, where RubyGems would only put a second one.

require_relative "toolchain"

series = RUBY_VERSION[/\A\d+\.\d+/]
folder = File.join(Toolchain::ROOT, "lib", "polyphony_rs", series)
work = File.join(__dir__, "target")

begin
  library = Toolchain.new(profile: "gem", target_dir: work).build
  FileUtils.mkdir_p(folder)
  FileUtils.mv(library, File.join(folder, "polyphony_rs.#{RbConfig::CONFIG["DLEXT"]}"))
rescue Toolchain::Missing => e
  abort e.message
ensure
  FileUtils.rm_rf(work)
end

File.write("Makefile", "all install clean:\n\t@:\n.PHONY: all install clean\n")
