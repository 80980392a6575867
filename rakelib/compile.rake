# frozen_string_literal: true

desc "Compile the extension into lib/ (PROFILE=checked for debug assertions)"
task :compile do
  sh "bin/setup", "--profile", ENV.fetch("PROFILE", "release")
end

desc "Delete everything that was built"
task :clean do
  rm_rf %w[target pkg]
  rm_rf Dir.glob("lib/polyphony_rs/*/polyphony_rs.#{RbConfig::CONFIG["DLEXT"]}")
end
