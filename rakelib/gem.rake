# frozen_string_literal: true

require "rubygems/package"

# Packages the gem into pkg/ after the block has adapted its specification.
package_gem = lambda do |&adapt|
  spec = Gem::Specification.load("polyphony-rs.gemspec")
  adapt&.call(spec)
  mkdir_p "pkg", verbose: false
  mv Gem::Package.build(spec), "pkg"
end

namespace :gem do
  desc "Package the source gem into pkg/ (compiles on the user's machine)"
  task(:build) { package_gem.call }

  desc "Package a gem for this platform with the libraries that bin/setup has compiled"
  task :precompiled do
    libraries = Dir.glob("lib/polyphony_rs/*/polyphony_rs.#{RbConfig::CONFIG["DLEXT"]}")
    abort "nothing is compiled yet: bin/setup" if libraries.empty?
    package_gem.call do |spec|
      series = libraries.map { |path| Gem::Version.new("#{path.split("/")[-2]}.0") }.sort
      spec.platform = Gem::Platform.local
      spec.extensions.clear
      spec.files = spec.files.grep_v(%r{\A(src|ext)/|\ACargo}) + libraries
      spec.required_ruby_version = [">= #{series.first}", "< #{series.last.bump}.0.a"]
    end
  end

  desc "Build, install and try the gem in an empty GEM_HOME"
  task :verify do
    sh "bin/test", "--only", "spec", "--", "spec/packaging"
  end
end
