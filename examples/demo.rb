# frozen_string_literal: true

# Real traffic on this machine, as one table: HTTP requests through the fiber scheduler, a file
# through a proxy, echo over many connections. `bin/demo` runs it.
#
# Exits 1 on a failed request, a wrong checksum, or a figure more than twice its target.

require "tmpdir"
require_relative "../benchmark/support"
require_relative "demo/report"
require_relative "demo/http"
require_relative "demo/transfer"
require_relative "demo/echo"

begin
  puts "Real traffic through io_uring, on loopback", Bench.machine_line, ""
  Bench.build_native
  report = Demo::Report.new
  Demo::Http.run(report)
  Demo::Transfer.run(report)
  Demo::EchoLoad.run(report)
  puts ""
  report.print
  exit report.failed? ? 1 : 0
rescue Bench::Failed => e
  abort "failed: #{e.message}"
rescue SignalException
  abort "interrupted"
end
