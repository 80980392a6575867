# frozen_string_literal: true

# HTTP with keep-alive: what "hello, world" costs the server in CPU time per request, against nginx
# with one worker and a static answer. A fresh server for every run, both in turn.

require_relative "http/runner"

chosen = Bench.options(rounds: 5, seconds: 3, connections: [50, 500])
TARGET = 1.1

def print_comparison(connections, rounds:, seconds:)
  results = Http::SERVERS.keys.to_h { |name| [name, []] }
  rounds.times { results.each { |name, runs| runs << Http.run(name, connections:, seconds:) } }
  rows = results.map { |name, runs| row(name, runs) }
  Bench.table(["server", "CPU us/request", "min..max", "requests/s"], rows)
  print_ratios(*results.values_at("machine", "nginx"))
end

def row(name, runs)
  cpu, rps = %i[cpu_us rps].map { |key| runs.map { _1[key] } }
  [name, format("%.2f", Bench.median(cpu)), Bench.spread(cpu), Bench.median(rps).round]
end

def print_ratios(ours, nginx)
  cpu, rps = %i[cpu_us rps].map { |key| Bench.ratios(ours.map { _1[key] }, nginx.map { _1[key] }) }
  puts "CPU of machine / nginx: #{Bench.verdict(Bench.median(cpu), TARGET)}, rounds #{Bench.spread(cpu)}"
  puts "requests/s of machine / nginx: #{format("%.2f", Bench.median(rps))}, rounds #{Bench.spread(rps)}"
end

missing = %w[wrk nginx].reject { |program| system("which", program, out: File::NULL) }
if missing.any?
  puts "skipped, #{missing.join(" and ")} missing: apt-get install wrk nginx-light"
  exit
end

puts "HTTP with keep-alive, #{chosen[:rounds]} rounds of #{chosen[:seconds]} s in turn"
puts Bench.machine_line
chosen[:connections].map(&:to_i).each do |connections|
  puts "", "#{connections} connections"
  print_comparison(connections, **chosen.slice(:rounds, :seconds))
end
