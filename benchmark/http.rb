# frozen_string_literal: true

# HTTP with keep-alive: what "hello, world" costs the server in CPU time per request, against nginx
# with one worker and a static answer: on UM::IO, on stock IO under the scheduler, and as a Rack
# application. A fresh server for every run, all in turn.

require_relative "http/runner"

chosen = Bench.options(rounds: 5, seconds: 3, connections: [50, 500], only: %w[nginx machine scheduler rack])
# CPU per request, as a multiple of nginx's.
TARGETS = { "machine" => { 50 => 1.1, 500 => 1.1 }, "scheduler" => { 50 => 1.06, 500 => 1.2 },
            "rack" => { 50 => 2.5 } }.freeze

def print_comparison(connections, rounds:, seconds:, only:)
  results = ["nginx", *(only - ["nginx"])].to_h { |name| [name, []] }
  rounds.times { results.each { |name, runs| runs << Http.run(name, connections:, seconds:) } }
  rows = results.map { |name, runs| row(name, runs) }
  Bench.table(["server", "CPU us/request", "min..max", "requests/s"], rows)
  TARGETS.slice(*only).each do |name, targets|
    print_ratios(name, results[name], results["nginx"], targets[connections])
  end
end

def row(name, runs)
  cpu, rps = %i[cpu_us rps].map { |key| runs.map { _1[key] } }
  [name, format("%.2f", Bench.median(cpu)), Bench.spread(cpu), Bench.median(rps).round]
end

def print_ratios(name, ours, nginx, target)
  cpu, rps = %i[cpu_us rps].map { |key| Bench.ratios(ours.map { _1[key] }, nginx.map { _1[key] }) }
  ratio = Bench.median(cpu)
  verdict = target ? Bench.verdict(ratio, target) : format("%.2f", ratio)
  puts "CPU of #{name} / nginx: #{verdict}, rounds #{Bench.spread(cpu)}"
  puts "requests/s of #{name} / nginx: #{format("%.2f", Bench.median(rps))}, rounds #{Bench.spread(rps)}"
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
  print_comparison(connections, **chosen.slice(:rounds, :seconds, :only))
end
