# frozen_string_literal: true

# Starts one of the echo servers, drives it with the native load client, ends it. Also used by
# examples/demo.

require_relative "../support"

module Echo
  # name => how it is started
  SERVERS = {
    "native epoll" => -> { Bench.native("echo-epoll") },
    "native io_uring" => -> { Bench.native("echo-uring") },
    "machine" => -> { Bench.ruby("benchmark/echo/machine.rb") },
    "machine recv_each" => -> { Bench.ruby("benchmark/echo/machine_each.rb") },
    "scheduler" => -> { Bench.ruby("benchmark/echo/scheduler.rb") },
    "threads" => -> { Bench.ruby("benchmark/echo/threads.rb") }
  }.freeze

  module_function

  # What this build can run: an older one has no multishot receive.
  def servers
    Bench.machine_has?(:recv_each) ? SERVERS.keys : SERVERS.keys - ["machine recv_each"]
  end

  # One run against a fresh server; the result of the load client, every reply verified. `cpus`
  # are the numbers of the CPUs for server and client, nil where the kernel is to choose.
  def run(name, connections:, seconds:, warmup: 0.5, cpus: [nil, nil])
    Bench::Child.open(on_cpu(cpus.first, SERVERS.fetch(name).call)) do |server|
      load = Bench.native("load", "--port", server.line[:port], "--server-pid", server.pid,
                          "--connections", connections, "--seconds", seconds, "--warmup", warmup)
      Bench.run_json(on_cpu(cpus.last, load))
    end
  end

  # taskset becomes the command, so the process id stays.
  def on_cpu(cpu, command) = cpu ? ["taskset", "--cpu-list", cpu.to_s, *command] : command
end
