# frozen_string_literal: true

desc "Run all benchmarks"
task bench: :compile do
  ruby "benchmark/all.rb"
end
