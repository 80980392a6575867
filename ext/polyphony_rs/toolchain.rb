# frozen_string_literal: true
# INTERIM
require "open3"
profile = ARGV[1] || "release"
out, status = Open3.capture2e({ "RUBY" => RbConfig.ruby }, "cargo", "build", "--package", "polyphony_rs", "--profile", profile, chdir: File.expand_path("../..", __dir__))
exit 0 if status.success?
case out
when /Unable to find libclang/ then puts "libclang"
when /linker `cc` not found/ then puts "compiler"
when /'ruby.*\.h' file not found/ then puts "ruby-headers"
when /fatal error: '[^']*' file not found/ then puts "headers"
else puts "other"
end
$stderr.puts out.lines.last(30)
exit 1
