# frozen_string_literal: true

require_relative "../../benchmark/echo/runner"

module Demo
  # Echo servers under load with many open connections, ours beside one with threads.
  module EchoLoad
    CONNECTIONS = 500
    ROUNDS = 3
    SECONDS = 1.5
    SERVERS = {
      "machine" => "echo: UM, machine API",
      "scheduler" => "echo: TCPServer, scheduler",
      "threads" => "echo: TCPServer, threads"
    }.freeze

    module_function

    def run(report)
      puts "3. echo of 64-byte messages over #{CONNECTIONS} open connections: three servers in turn,",
           "   every reply verified"
      results = Hash.new { |hash, name| hash[name] = [] }
      ROUNDS.times do
        SERVERS.each_key do |name|
          results[name] << Echo.run(name, connections: CONNECTIONS, seconds: SECONDS)
        end
      end
      median = results.transform_values { |rounds| ->(key) { Bench.median(rounds.map { _1[key] }) } }
      threads = median["threads"][:server_cpu_us]
      SERVERS.each { |name, title| add_to(report, name, title, median[name], threads) }
    end

    def add_to(report, name, title, median, threads)
      cpu = median[:server_cpu_us]
      figure = format("%d requests/s, p50 %.1f ms, p99 %.1f ms, CPU %.1f us/request",
                      median[:rps], median[:p50_us] / 1000, median[:p99_us] / 1000, cpu)
      return report.note(title, figure) if name == "threads"

      report.measure(title, figure, cpu, at_most: threads, as: format("CPU under threads' %.1f us", threads))
    end
  end
end
