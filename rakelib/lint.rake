# frozen_string_literal: true

desc "rustfmt, clippy and RuboCop"
task :lint do
  sh "bin/test", "--only", "lint"
end

desc "Let rustfmt and RuboCop mend what they can"
task :format do
  sh "cargo", "fmt", "--all"
  sh "rubocop", "--autocorrect"
end
