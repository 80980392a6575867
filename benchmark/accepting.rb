# frozen_string_literal: true

# What accepting a connection costs a server: flat out, where 4,000 wait already, and at 500 a
# second, where the loop waits for each. `--against DIRECTORY`: the same by another build's `lib`.

require_relative "support"

chosen = Bench.options(rounds: 7, rate: 500, against: "")

puts "connections that are accepted and closed, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""

cases = [[:each, 0], [:spin, 0], [:accept_loop, 0], [:accept_loop_spin, 0], [:each, chosen[:rate]],
         [:accept_loop, chosen[:rate]]]
libraries = { "this" => Bench::LIB, "that" => chosen[:against] }.reject { |_, library| library.empty? }
commands = cases.product(libraries.to_a).to_h do |(mode, rate), (name, library)|
  script = File.join(Bench::ROOT, "benchmark/accepting/server.rb")
  [[mode, rate, name], [RbConfig.ruby, "-I", library, script, mode.to_s, rate.to_s]]
end
results = Bench.alternate(commands, chosen[:rounds])

Bench.table(
  ["loop", "connections/s", "library", "CPU us each", "low..high"],
  results.map do |(mode, rate, name), rounds|
    costs = rounds.map { |round| round[:cpu_us] }
    [mode, rate.zero? ? "flat out" : rate, name, format("%.2f", Bench.median(costs)), Bench.spread(costs)]
  end
)
