# frozen_string_literal: true

cargo_manifest = File.read(File.join(__dir__, "Cargo.toml"))

Gem::Specification.new do |spec|
  spec.name = "polyphony-rs"
  # The workspace's version is the gem's.
  spec.version = cargo_manifest[/^\[workspace\.package\].*?^version = "([^"]+)"/m, 1]
  spec.summary = "Fiber concurrency on io_uring, written in Rust"
  spec.description = <<~TEXT
    One io_uring machine behind three doors: a low-level interface to descriptors, fibers and
    buffer rings (UringMachine), a Fiber::Scheduler that makes existing code concurrent, and
    structured concurrency with few words (Polyphony). Linux only.
  TEXT
  spec.authors = ["polyphony-rs contributors"]
  spec.licenses = ["MIT"]

  spec.required_ruby_version = ">= 3.3"
  spec.extensions = ["ext/polyphony_rs/extconf.rb"]
  spec.require_paths = ["lib"]
  # Cargo needs the whole workspace: both crates and the lock file.
  spec.files = Dir.glob(
    %w[
      Cargo.toml Cargo.lock
      src/**/*.rs
      ext/polyphony_rs/Cargo.toml ext/polyphony_rs/*.rb ext/polyphony_rs/src/**/*.rs
      lib/**/*.rb sig/**/*.rbs
      README.md ARCHITECTURE.md CHANGELOG.md LICENSE docs/**/*.md examples/*.rb examples/rack/*
    ],
    base: __dir__
  ) - ["examples/demo.rb"] # it is bin/demo, and needs the checkout's benchmark/
  spec.extra_rdoc_files = spec.files.grep(/\A(README|CHANGELOG)\.md\z/)

  spec.homepage = "https://github.com/polyphony-rs/polyphony-rs"
  spec.metadata = {
    "source_code_uri" => spec.homepage,
    "changelog_uri" => "#{spec.homepage}/blob/main/CHANGELOG.md",
    "bug_tracker_uri" => "#{spec.homepage}/issues",
    "rubygems_mfa_required" => "true"
  }
end
