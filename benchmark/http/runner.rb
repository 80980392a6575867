# frozen_string_literal: true

# Starts a web server, drives it with wrk, and reads the server's CPU time before and after.

require "socket"
require "tmpdir"
require_relative "../support"

module Http
  BODY = "Hello, world!\n"
  # Seconds of load before the measured part.
  WARMUP = 1

  module_function

  # name => yields the port and the process id of a server that is running.
  SERVERS = {
    "nginx" => ->(&run) { nginx(&run) },
    "machine" => ->(&run) { ours("machine", &run) },
    "scheduler" => ->(&run) { ours("scheduler", &run) },
    "rack" => ->(&run) { ours("rack", &run) }
  }.freeze

  # One run against a fresh server: CPU time per request in µs, requests per second, p99 in µs.
  def run(name, connections:, seconds:)
    SERVERS.fetch(name).call do |port, pid|
      check(name, port)
      wrk(port, connections, WARMUP)
      before = cpu_ticks(pid)
      load = wrk(port, connections, seconds)
      ticks = cpu_ticks(pid) - before
      { cpu_us: ticks * 1e6 / Etc.sysconf(Etc::SC_CLK_TCK) / load[:requests],
        rps: load[:requests] / load[:seconds] }
    end
  end

  def nginx
    Dir.mktmpdir("polyphony-nginx") do |folder|
      port = TCPServer.open("127.0.0.1", 0) { |server| server.local_address.ip_port }
      conf = File.join(folder, "nginx.conf")
      template = File.read(File.join(__dir__, "nginx.conf"))
      File.write(conf, template.gsub("@FOLDER@", folder).gsub("@PORT@", port.to_s))
      pid = spawn("nginx", "-p", folder, "-c", conf, pgroup: true)
      wait_for(port)
      yield port, pid
    ensure
      Process.kill(:QUIT, pid)
      Process.wait(pid)
    end
  end

  def ours(program)
    Bench::Child.open(Bench.ruby("benchmark/http/#{program}.rb")) do |server|
      yield server.line[:port], server.pid
    end
  end

  def wait_for(port)
    200.times do
      return TCPSocket.new("127.0.0.1", port).close
    rescue Errno::ECONNREFUSED
      sleep 0.01
    end
    raise Bench::Failed, "nobody listens on port #{port}"
  end

  # The answer is what it should be; wrk looks at the status only.
  def check(name, port)
    answer = TCPSocket.open("127.0.0.1", port) do |socket|
      socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
      socket.read
    end
    return if answer.start_with?("HTTP/1.1 200 ") && answer.end_with?("\r\n\r\n#{BODY}")

    raise Bench::Failed, "#{name} answers #{answer.inspect}"
  end

  def wrk(port, connections, seconds)
    command = ["wrk", "-t1", "-c#{connections}", "-d#{seconds}s", "http://127.0.0.1:#{port}/"]
    output = IO.popen(command, &:read)
    failures = output[/Socket errors:.*|Non-2xx.*/]
    match = output.match(/(\d+) requests in ([\d.]+)(m?s),/)
    raise Bench::Failed, "wrk: #{failures || output}" if failures || !match

    { requests: Float(match[1]), seconds: Float(match[2]) / (match[3] == "ms" ? 1000 : 1) }
  end

  # User and system time of all its threads so far, in clock ticks.
  def cpu_ticks(pid)
    File.read("/proc/#{pid}/stat").split(") ").last.split.values_at(11, 12).sum { Integer(_1) }
  end
end
