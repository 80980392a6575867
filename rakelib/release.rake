# frozen_string_literal: true

require "tmpdir"

# Prints what the kernel can do, and lets two fibers talk over a ring.
trial = <<~RUBY
  require "uringmachine"
  puts RUBY_DESCRIPTION
  pp UM.capabilities
  machine = UM.new
  reader, writer = UM.pipe
  machine.spin { machine.write(writer, "works") and machine.close(writer) }
  machine.read(reader, buffer = +"", 5)
  puts buffer
RUBY

namespace :release do
  desc "Is TAG, such as v0.1.0, the version that is in the tree, and in the changelog as released?"
  task :check, [:tag] do |_task, arguments|
    version = Gem::Specification.load("polyphony-rs.gemspec").version.to_s
    abort "the tag is #{arguments[:tag]}, but Cargo.toml has #{version}" if arguments[:tag] != "v#{version}"
    newest = File.foreach("CHANGELOG.md", chomp: true).grep(/\A## /).first.to_s
    released = /\A## #{Regexp.escape(version)} \(\d{4}-\d\d-\d\d\)\z/
    abort "CHANGELOG.md doesn't begin with ## #{version} (year-month-day)" unless newest.match?(released)
  end

  desc "Install the one gem in pkg/ into an empty GEM_HOME, and let it work"
  task :try do
    gems = Dir.glob("pkg/*.gem")
    abort "one gem is wanted in pkg/, not #{gems.size}" if gems.size != 1
    Dir.mktmpdir do |home|
      environment = { "GEM_HOME" => home, "GEM_PATH" => home, "RUBYLIB" => nil }
      sh environment, "gem", "install", "--local", "--no-document", gems.first
      sh environment, FileUtils::RUBY, "-e", trial, verbose: false
    end
  end

  desc "Push all gems in pkg/ to rubygems.org, with the credentials that `gem` has"
  task :push do
    gems = Dir.glob("pkg/*.gem")
    abort "no gems in pkg/" if gems.empty?
    # The source gem last: who installs in between gets no compiler's error in place of a compiled gem.
    gems.sort_by { |path| -path.length }.each { |path| sh "gem", "push", path }
  end
end
