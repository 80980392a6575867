# frozen_string_literal: true

desc "Lint, Rust tests, specs, specs under a harsh garbage collector"
task :test do
  sh "bin/test"
end

namespace :test do
  desc "The same on a second Ruby, with debug assertions, and repeated"
  task :all do
    sh "bin/test", "--all"
  end
end

titles = {
  rust: "The Rust tests",
  spec: "The specs",
  gc: "The GC specs, under stress and with compaction"
}
titles.each do |group, title|
  desc title
  task group do
    sh "bin/test", "--only", group.to_s
  end
end
