# frozen_string_literal: true

# Pipelines of GETs to a redis-server: UM::IO against a client library in plain Ruby (redis-client, or
# Debian's ruby-redis).

require_relative "support"
require_relative "../spec/support/redis_server"

chosen = Bench.options(rounds: 5, commands: 300_000, pipeline: 1000)
TARGET_RATIO = 3.0

results = SpecSupport::RedisServer.run do |server|
  arguments = [server.port, chosen[:commands], chosen[:pipeline]]
  commands = %w[um_io library].to_h { [_1, Bench.ruby("benchmark/redis/#{_1}.rb", *arguments)] }
  Bench.alternate(commands, chosen[:rounds])
end
library = results.delete("library") unless results["library"].first[:title]
puts format("%<commands>d GETs of 3 bytes, %<pipeline>d in a pipeline, %<rounds>d rounds in turn", chosen)
puts Bench.machine_line, ""

figures = ->(rounds, key) { rounds.map { _1[key] / _1[:commands] * 1e6 } }
rows = results.each_value.map do |rounds|
  wall, cpu = %i[wall cpu].map { figures.call(rounds, _1) }
  [rounds.first[:title], (1e6 / Bench.median(wall)).round, Bench.spread(wall),
   format("%.2f", Bench.median(cpu)), Bench.spread(cpu)]
end
Bench.table(["client", "commands/s", "µs a command", "CPU µs a command", "min..max"], rows)

if library
  puts "", "no library to compare with: gem install redis-client, or apt-get install ruby-redis"
else
  ours, theirs = results.values_at("um_io", "library")
  ratio = ->(key) { Bench.median(Bench.ratios(figures.call(theirs, key), figures.call(ours, key))) }
  rate = ratio.call(:wall)
  puts "", format("UM::IO: %.2f times the commands/s (target %.1f, %s), CPU a command %.2f times less",
                  rate, TARGET_RATIO, rate >= TARGET_RATIO ? "met" : "missed", ratio.call(:cpu))
end
