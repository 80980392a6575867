# frozen_string_literal: true

# How long a small connection takes beside a large one: a proxy moves as much as it can, and every
# hundredth of a second a client connects through the same process, sends a byte and waits for the
# echo.

require "socket"
require_relative "transfers/servers"

CHOSEN = Bench.options(rounds: 3, connections: 500, interval: 0.01)
TARGET = 5.0

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

# Milliseconds from connect to echo.
def echo(port)
  start = now
  TCPSocket.open("127.0.0.1", port) do |socket|
    socket.write("x")
    raise Bench::Failed, "no echo" unless socket.read(1) == "x"
  end
  (now - start) * 1e3
end

def times(port)
  start = now
  Array.new(CHOSEN[:connections]) do |index|
    sleep([start + (index * CHOSEN[:interval]) - now, 0].max)
    echo(port)
  end.sort
end

def with_proxy
  Bench::Child.open(Bench.native("sink")) do |sink|
    Bench::Child.open(Bench.native("echo-epoll", "--port", 0)) do |echo|
      ports = [sink, echo].map { _1.line.fetch(:port) }
      Bench::Child.open(Bench.ruby("benchmark/transfers/proxy.rb", *ports)) do |proxy|
        yield(*Array.new(2) { proxy.line.fetch(:port) })
      end
    end
  end
end

def beside_a_large_one(large, small)
  pour = Bench::Child.new(Bench.native("pour", "--port", large, "--bytes", 1 << 50))
  times(small)
ensure
  Process.kill(:KILL, pour.pid)
  pour.stop
end

puts Bench.machine_line, ""
rows = Array.new(CHOSEN[:rounds]) do
  with_proxy { |large, small| { alone: times(small), beside: beside_a_large_one(large, small) } }
end
table = %i[alone beside].map do |name|
  halves, most = [0.5, 0.99].map { |part| Bench.median(rows.map { _1[name][(_1[name].size * part).floor] }) }
  target = TARGET if name == :beside
  [name, format("%.2f", halves), format("%.2f", most), target, Bench.met(most, target)]
end
Bench.table(["ms from connect to echo", "median", "p99", "target", ""], table)
