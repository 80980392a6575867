# frozen_string_literal: true

module Demo
  # Many Net::HTTP requests from one Ruby thread, to a slow server.
  module Http
    REQUESTS = 1000
    SECONDS = 2.0

    module_function

    def run(report)
      puts "1. #{REQUESTS} Net::HTTP requests at once, from one Ruby thread with UM::FiberScheduler,",
           "   to a server of ours that takes 100 ms for each"
      result, server = exchange
      ok = result[:answered] == REQUESTS && result[:failed].zero? && server[:requests] == REQUESTS
      puts "   first failure: #{result[:failure]}" if result[:failure]

      report.check("HTTP: answers", "#{result[:answered]} right, #{result[:failed]} failed", ok,
                   as: "#{REQUESTS} right, 0 failed")
      report.measure("HTTP: all of them", format("%.2f s", result[:seconds]), result[:seconds],
                     at_most: SECONDS, as: format("under %g s", SECONDS))
      report.check("HTTP: Ruby threads in the client", result[:threads], result[:threads] == 1, as: "1")
      report.note("HTTP: client's CPU time", format("%.2f s", result[:cpu]))
      report.note("HTTP: open at once in the server", server[:most_at_once])
    end

    def exchange
      Bench::Child.open(Bench.ruby("examples/demo/programs/http_server.rb")) do |server|
        client = Bench.ruby("examples/demo/programs/http_client.rb", server.line[:port], REQUESTS)
        result = Bench.run_json(client, limit: 60)
        server.close_stdin
        [result, server.finish(limit: 10)]
      end
    end
  end
end
