# frozen_string_literal: true

# An echo server on several processors: processes that accept on one socket, each with fibers of its
# own. One that dies is replaced; ctrl-C ends them all.
#
#   bin/ruby examples/preforked.rb 4321 4
#
# starts four. Each tells its clients who it is:
#
#   echo hello | nc -N 127.0.0.1 4321

require "polyphony"

def work(server)
  server.accept_loop do |client|
    spin do
      client.puts "process #{Process.pid}"
      IO.double_splice(client, client)
    rescue SystemCallError => e
      warn "a connection is lost: #{e.message}"
    ensure
      client.close
    end
  end
end

port = Integer(ARGV.fetch(0, "4321"))
processes = Integer(ARGV.fetch(1, "2"))
server = TCPServer.new("127.0.0.1", port)
puts "#{processes} processes listen on port #{server.local_address.ip_port}"
$stdout.flush

trap(:INT) { exit }

# As long as such a fiber lives, so does a process; and it dies with the fiber.
processes.times do
  spin do
    loop do
      status = Polyphony.watch_process { work(server) }
      warn "#{status}: another one takes its place"
      sleep 0.05
    end
  end
end
sleep
