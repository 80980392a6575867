# frozen_string_literal: true

namespace :ruby do
  desc "Ruby's own tests of fibers with this scheduler in place of theirs, on one Ruby or another"
  task :test_fiber, [:series] do |_task, arguments|
    sh "bin/ruby_suite", *(["--ruby-version", arguments[:series]] if arguments[:series])
  end
end
