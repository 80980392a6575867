# frozen_string_literal: true

# A TCP proxy for one connection, in both directions until both are done. Prints its port, and at
# the end what went through and what that took.
#
#   ruby proxy.rb UPSTREAM_PORT

require "json"
require "socket"
require "polyphony"

server = TCPServer.new("127.0.0.1", 0)
puts JSON.generate(port: server.addr[1])
$stdout.flush

client = server.accept
upstream = TCPSocket.new("127.0.0.1", ARGV[0].to_i)
start = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
there, back = Polyphony.proxy(client, upstream)
cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - start

peak = File.read("/proc/self/status")[/^VmHWM:\s+(\d+) kB/, 1].to_i * 1024
puts JSON.generate(there:, back:, cpu:, peak:)
