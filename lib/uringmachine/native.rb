# frozen_string_literal: true

require "rbconfig"

# Loads the compiled extension.
#
# There is one library for each Ruby series (`polyphony_rs/3.4/polyphony_rs`), in a checkout and in
# a gem, compiled or precompiled.
series = RUBY_VERSION[/\A\d+\.\d+/]
library = File.expand_path("../polyphony_rs/#{series}/polyphony_rs.#{RbConfig::CONFIG["DLEXT"]}", __dir__)

begin
  require library
rescue LoadError => e
  setup = File.expand_path("../../bin/setup", __dir__)
  raise LoadError, <<~MESSAGE.chomp, cause: e
    polyphony-rs: the native extension could not be loaded into Ruby #{RUBY_VERSION}
      cause: #{e.message}
      to mend it: #{File.exist?(setup) ? "RUBY=#{RbConfig.ruby} #{setup}" : "gem pristine polyphony-rs"}
  MESSAGE
end
