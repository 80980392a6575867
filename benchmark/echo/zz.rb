require "uringmachine"
$: << "/work/main/benchmark/echo"
require "/work/main/benchmark/echo/stock"
Fiber.set_scheduler($s=UM::FiberScheduler.new)
server = Echo.listen
at_exit { STDERR.puts $s.machine.metrics.slice(:total_ops,:total_switches,:total_waits) }
trap(:TERM) { STDERR.puts $s.machine.metrics.slice(:total_ops,:total_switches,:total_waits); exit! }
Fiber.schedule do
  loop do
    client = server.accept
    Fiber.schedule { Stock.echo(client) }
  end
end
