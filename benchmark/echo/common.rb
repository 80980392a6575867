# frozen_string_literal: true

# What the Ruby echo servers share: the port as the first line of output, and the end, which is
# that of stdin.

require "json"
require "socket"

module Echo
  BUFFER = 1024
  BACKLOG = 4096
  # No server runs on for ever, whatever happens to the program that started it.
  Process.setrlimit(Process::RLIMIT_CPU, 600)
  Process.setrlimit(Process::RLIMIT_NOFILE, Process.getrlimit(Process::RLIMIT_NOFILE).last)

  module_function

  # A listening socket on loopback; its port is printed.
  def listen
    server = TCPServer.new("127.0.0.1", 0)
    server.listen(BACKLOG)
    announce(server)
  end

  def announce(server)
    puts JSON.generate(port: server.addr[1])
    $stdout.flush
    server
  end
end
