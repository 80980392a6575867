# frozen_string_literal: true

# A fiber that ends gives its stack back: one million fibers in waves of 10,000, made by
# `machine.spin`, against the same waves of bare fibers. The peak of resident memory is taken for
# each wave by itself.

require_relative "support"

chosen = Bench.options(rounds: 3, waves: 100, fibers: 10_000)
ratio_limit = 1.3
# How much more than the fifth wave a later one may take and still count as flat.
flat_limit = 1.05
mib = ->(bytes) { format("%.1f", bytes / 1024.0 / 1024) }

puts "#{chosen[:waves]} waves of #{chosen[:fibers]} fibers that do nothing, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""

# spin: made first, run when the caller yields. bare: all made, then all resumed, as spin does it.
# bare at once: each one resumed as soon as it is made, so that there is never more than one.
names = ["spin", "bare", "bare at once"]
results = Hash.new { |hash, name| hash[name] = [] }
chosen[:rounds].times do
  names.each do |name|
    results[name] << Bench.run_json(
      Bench.ruby("benchmark/spin_waves/#{name.tr(" ", "_")}.rb", chosen[:waves], chosen[:fibers])
    )
  end
end

peak = results.transform_values { |rounds| Bench.median(rounds.map { _1[:peaks].max }).to_f }
growth = results.transform_values do |rounds|
  Bench.median(rounds.map { |round| round[:peaks].drop(5).max.to_f / round[:peaks][4] })
end

Bench.table(
  ["variant", "peak MiB", "of rounds", "first wave", "fifth", "last", "later / fifth", "us/fiber"],
  names.map do |name|
    rounds = results[name]
    waves = [0, 4, -1].map { |index| mib[Bench.median(rounds.map { _1[:peaks][index] })] }
    cost = Bench.median(rounds.map { _1[:wall_ns] / 1000.0 / _1[:fibers] })
    [name, mib[peak[name]], rounds.map { mib[_1[:peaks].max] }.minmax.join(".."), *waves,
     format("%.2f", growth[name]), format("%.2f", cost)]
  end
)
puts "", "peak of spin / bare:         #{Bench.verdict(peak["spin"] / peak["bare"], ratio_limit)}"
puts "peak of spin / bare at once: #{format("%.2f", peak["spin"] / peak["bare at once"])}"
puts "flat after the fifth wave:   #{Bench.verdict(growth["spin"], flat_limit)}"
