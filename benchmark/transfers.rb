# frozen_string_literal: true

# What transfers cost: a file over HTTP against nginx, a TCP proxy against HAProxy and one in plain
# splice(2), a large file to a socket against sendfile(2), and IO.splice in a loop against the same
# system calls. Servers run in processes of their own, all in turn; the CPU time is theirs.

require "socket"
require_relative "transfers/servers"

CHOSEN = Bench.options(
  rounds: 3, seconds: 3, megabytes: 1024, only: %w[http proxy file loop], directory: "/var/tmp"
)
GIGA = 1e9

# One table: each variant's figures of all rounds.
class Comparison
  # target: most CPU time of ours, as a multiple of the baseline's
  def initialize(title, baseline, target)
    @title = title
    @baseline = baseline
    @target = target
    @results = Hash.new { |all, name| all[name] = [] }
  end

  # rate: bytes a second; cpu: nanoseconds a kilobyte
  def add(name, rate:, cpu:) = @results[name] << { rate:, cpu: }

  def print
    puts @title
    Bench.table(["", "GB/s", "CPU ns/KB", "x #{@baseline}", "target", ""], @results.keys.map { row(_1) })
    puts
  end

  private

  def row(name)
    ratio = Bench.median(Bench.ratios(figures(name, :cpu), figures(@baseline, :cpu)))
    target = @target if name == "polyphony"
    rate = format("%.2f", Bench.median(figures(name, :rate)) / GIGA)
    cpu = format("%.0f", Bench.median(figures(name, :cpu)))
    [name, rate, cpu, format("%.2f", ratio), target, Bench.met(ratio, target)]
  end

  def figures(name, key) = @results[name].map { _1[key] }
end

def with_file(megabytes)
  Dir.mktmpdir(nil, CHOSEN[:directory]) do |folder|
    path = File.join(folder, "file")
    File.open(path, "wb") { |file| megabytes.times { file.write(Random.bytes(1 << 20)) } }
    yield path
  end
end

def available?(program)
  Servers.installed?(program) || puts("#{program} is not installed: left out")
end

def http
  over_http(10, "wrk", "10 MB over HTTP, wrk with 8 connections") { |port, pid| wrk(port, pid) }
  megabytes = CHOSEN[:megabytes]
  over_http(megabytes, "curl", "#{megabytes} MB over HTTP, curl") { |port, pid| curl(port, pid) }
end

def over_http(megabytes, client, title)
  return unless available?(client)

  with_file(megabytes) do |path|
    ours = Bench.ruby("benchmark/transfers/http.rb", path)
    servers = { "polyphony" => ->(&run) { Servers.ours(ours, &run) } }
    servers["nginx"] = ->(&run) { Servers.nginx(path, &run) } if available?("nginx")
    comparison = Comparison.new(title, servers.keys.last, 1.05)
    CHOSEN[:rounds].times do
      servers.each { |name, serve| serve.call { |port, pid| comparison.add(name, **yield(port, pid)) } }
    end
    comparison.print
  end
end

def curl(port, pid)
  before = Servers.cpu(pid)
  command = ["curl", "-sS", "-o", File::NULL, "-w", "%{size_download} %{time_total}", "http://127.0.0.1:#{port}/file"]
  bytes, seconds = IO.popen(command, &:read).split.map(&:to_f)
  raise Bench::Failed, "#{bytes} bytes came" unless bytes == CHOSEN[:megabytes] << 20

  { rate: bytes / seconds, cpu: (Servers.cpu(pid) - before) * 1e9 / (bytes / 1024) }
end

def wrk(port, pid)
  before = Servers.cpu(pid)
  command = ["wrk", "-t1", "-c8", "-d#{CHOSEN[:seconds]}s", "http://127.0.0.1:#{port}/file"]
  output = IO.popen(command, &:read)
  requests, seconds = output.match(/(\d+) requests in ([\d.]+)s/).captures.map(&:to_f)
  raise Bench::Failed, output if requests.zero? || output.include?("Non-2xx")

  bytes = requests * 10 * (1 << 20)
  { rate: bytes / seconds, cpu: (Servers.cpu(pid) - before) * 1e9 / (bytes / 1024) }
end

def proxy
  { "one way" => 0, "both ways" => CHOSEN[:megabytes] << 20 }.each do |title, answer|
    Bench::Child.open(Bench.native("sink", "--answer", answer)) do |sink|
      proxies(sink.line.fetch(:port), "TCP proxy, #{CHOSEN[:megabytes]} MB #{title}", answer)
    end
  end
end

def proxies(destination, title, answer)
  native = Bench.native("splice-proxy", "--to", destination)
  ours = Bench.ruby("benchmark/transfers/proxy.rb", destination)
  servers = {
    "splice(2)" => ->(&run) { Servers.ours(native, &run) },
    "polyphony" => ->(&run) { Servers.ours(ours, &run) }
  }
  servers["haproxy"] = ->(&run) { Servers.haproxy(destination, &run) } if available?("haproxy")
  comparison = Comparison.new(title, "splice(2)", 1.15)
  CHOSEN[:rounds].times do
    servers.each { |name, serve| serve.call { |port, pid| comparison.add(name, **pour(port, pid, answer)) } }
  end
  comparison.print
end

def pour(port, pid, answer)
  before = Servers.cpu(pid)
  bytes = CHOSEN[:megabytes] << 20
  result = Bench.run_json(Bench.native("pour", "--port", port, "--bytes", bytes))
  raise Bench::Failed, "#{result[:back]} bytes came back" unless result[:back] == answer

  bytes += answer
  { rate: bytes * 1e9 / result[:wall_ns], cpu: (Servers.cpu(pid) - before) * 1e9 / (bytes / 1024) }
end

def file
  with_file(CHOSEN[:megabytes]) do |path|
    Bench::Child.open(Bench.native("sink")) do |sink|
      port = sink.line.fetch(:port)
      ours = Bench.ruby("benchmark/transfers/send_file.rb", port, path)
      compare("#{CHOSEN[:megabytes]} MB from a file to a socket", "sendfile(2)", 1.0,
              "sendfile(2)" => Bench.native("send-file", "--port", port, "--file", path),
              "polyphony" => ours)
      compare("The same in chunks of 64 KB", "unchunked", nil,
              "unchunked" => ours, "polyphony" => [*ours, "65536"])
    end
  end
end

def loop_of_splices
  with_file(256) do |path|
    native = Bench.native("splice-loop", "--file", path, "--chunk", 65_536)
    ours = Bench.ruby("benchmark/transfers/splice_loop.rb", path, 65_536)
    compare("A file through a pipe to the null device, in pieces of 64 KB", "splice(2)", 1.1,
            "splice(2)" => native, "polyphony" => ours)
    Bench::Child.open(Bench.native("sink")) do |sink|
      port = sink.line.fetch(:port)
      compare("The same to a socket", "splice(2)", 1.1,
              "splice(2)" => [*native, "--port", port.to_s], "polyphony" => [*ours, port.to_s])
    end
  end
end

def compare(title, baseline, target, commands)
  comparison = Comparison.new(title, baseline, target)
  Bench.alternate(commands, CHOSEN[:rounds]).each do |name, results|
    results.each do |result|
      bytes = result[:bytes]
      comparison.add(name, rate: bytes * 1e9 / result[:wall_ns], cpu: result[:cpu_ns] / (bytes / 1024.0))
    end
  end
  comparison.print
end

puts Bench.machine_line, ""
parts = { "http" => :http, "proxy" => :proxy, "file" => :file, "loop" => :loop_of_splices }
parts.slice(*CHOSEN[:only]).each_value { |part| send(part) }
