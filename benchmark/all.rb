# frozen_string_literal: true

# Runs every benchmark, one after the other; what is given on the command line goes to each
# (`--rounds 3`). Exits 1 when one of them failed: a wrong message, a crash, a hang.

require_relative "support"

names = %w[
  pipes socketpairs echo mutex_files sleeps small uncontended peek spin_await spin_waves lines redis idle
  waiting http transfers beside loops compression accepting
]
failed = names.reject do |name|
  puts "", "== #{name} ".ljust(100, "=")
  system(*Bench.ruby("benchmark/#{name}.rb", *ARGV))
end
abort "failed: #{failed.join(", ")}" unless failed.empty?
