# frozen_string_literal: true

require "rbconfig"

# Loads the compiled extension.
#
# There is one library for each Ruby series. A checkout and a precompiled gem have it in lib/; what
# RubyGems has compiled is in its folder for extensions, which is on the load path.
series = RUBY_VERSION[/\A\d+\.\d+/]
feature = "polyphony_rs/#{series}/polyphony_rs"
library = File.expand_path("../#{feature}.#{RbConfig::CONFIG["DLEXT"]}", __dir__)
# By its name, `require` could bring an installed gem's library into a checkout.
library = $LOAD_PATH.resolve_feature_path(feature)&.last || library unless File.exist?(library)

begin
  require library
rescue LoadError => e
  setup = File.expand_path("../../bin/setup", __dir__)
  others = Dir.children(File.dirname(library, 2)).sort rescue [] # rubocop:disable Style/RescueModifier
  cure = if File.exist?(setup)
           "RUBY=#{RbConfig.ruby} #{setup}"
         elsif others.any?
           "install the source gem (this one is compiled for Ruby #{others.join(", ")})"
         else
           "gem pristine polyphony-rs"
         end
  raise LoadError, <<~MESSAGE.chomp, cause: nil
    polyphony-rs: the native extension could not be loaded into Ruby #{RUBY_VERSION}
      cause: #{e.message}
      to mend it: #{cure}
  MESSAGE
end
