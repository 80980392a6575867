# frozen_string_literal: true

# Reading lines of 80 bytes from a pipe that a child fills: UM::IO#read_line against
# IO#gets. "strings" makes as many Strings of that size in a loop and reads nothing: no method that
# returns a String for each line takes less.

require_relative "support"

chosen = Bench.options(rounds: 5, megabytes: 1000)
TARGET_RATIO = 3.0
TARGET_RATE = 0.5
names = %w[um_io gets strings]

puts "#{chosen[:megabytes]} MB in lines of 80 bytes, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""

commands = names.to_h { [_1, Bench.ruby("benchmark/lines/#{_1}.rb", chosen[:megabytes])] }
results = Bench.alternate(commands, chosen[:rounds])

column = ->(name, key) { results[name].map { _1[key] } }
rates = names.to_h { |name| [name, column.call(name, :wall).map { chosen[:megabytes] / 1000.0 / _1 }] }
Bench.table(
  ["variant", "GB/s", "min..max", "CPU ns a line", "min..max", "objects a line"],
  names.map do |name|
    cpu = results[name].map { _1[:cpu] / _1[:lines] * 1e9 }
    [name, format("%.3f", Bench.median(rates[name])), Bench.spread(rates[name], 3),
     format("%.0f", Bench.median(cpu)), Bench.spread(cpu, 0),
     format("%.4f", Bench.median(results[name].map { _1[:objects].fdiv(_1[:lines]) }))]
  end
)
ratio = Bench.median(Bench.ratios(rates["um_io"], rates["gets"]))
cpu = Bench.median(Bench.ratios(column.call("gets", :cpu), column.call("um_io", :cpu)))
rate = Bench.median(rates["um_io"])
puts "", format("um_io / gets: %.2f times the throughput (target %.1f, %s), CPU a line %.2f times less",
                ratio, TARGET_RATIO, ratio >= TARGET_RATIO ? "met" : "missed", cpu)
puts format("um_io: %.2f GB/s (target %.1f, %s)", rate, TARGET_RATE, rate >= TARGET_RATE ? "met" : "missed")
