# frozen_string_literal: true

require "tmpdir"
require_relative "../support"

# Servers of others, and what any server costs.
module Servers
  TICKS = Etc.sysconf(Etc::SC_CLK_TCK)

  module_function

  def installed?(program)
    [*ENV["PATH"].split(":"), "/usr/sbin"].any? { |folder| File.executable?("#{folder}/#{program}") }
  end

  def free_port = TCPServer.open("127.0.0.1", 0) { _1.local_address.ip_port }

  # CPU seconds of a process, all its threads, and of its children.
  def cpu(pid)
    [pid, *File.read("/proc/#{pid}/task/#{pid}/children").split.map(&:to_i)].sum do |process|
      File.read("/proc/#{process}/stat").rpartition(")").last.split[11, 2].sum(&:to_i).fdiv(TICKS)
    end
  end

  # Yields port and pid of a program of ours, which prints its port.
  def ours(command)
    Bench::Child.open(command) { |child| yield child.line.fetch(:port), child.pid }
  end

  # nginx with sendfile, one worker.
  def nginx(path, &)
    configuration = <<~CONFIGURATION
      #{"user root;" if Process.uid.zero?}
      daemon off; worker_processes 1; pid nginx.pid; error_log stderr crit;
      events { worker_connections 256; }
      http {
        access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
        server { listen 127.0.0.1:%<port>d; location / { root #{File.dirname(path)}; } }
      }
    CONFIGURATION
    with_configuration(configuration, ["nginx", "-e", "stderr", "-p", "%<folder>s", "-c", "%<file>s"], &)
  end

  # HAProxy in TCP mode, one thread, with `splice-auto`.
  def haproxy(destination, &)
    configuration = <<~CONFIGURATION
      global
        nbthread 1
      defaults
        mode tcp
        option splice-auto
        timeout connect 5s
        timeout client 60s
        timeout server 60s
      listen proxy
        bind 127.0.0.1:%<port>d
        server destination 127.0.0.1:#{destination}
    CONFIGURATION
    with_configuration(configuration, ["haproxy", "-db", "-q", "-f", "%<file>s"], &)
  end

  def with_configuration(text, command)
    Dir.mktmpdir do |folder|
      port = free_port
      file = File.join(folder, "configuration")
      File.write(file, format(text, port:))
      child = Bench::Child.new(command.map { |word| format(word, file:, folder:) })
      wait_for(port)
      yield port, child.pid
    ensure
      Process.kill(:TERM, child.pid) if child
      child&.stop
    end
  end

  def wait_for(port, attempts: 100)
    TCPSocket.new("127.0.0.1", port).close
  rescue Errno::ECONNREFUSED
    raise Bench::Failed, "nothing listens on port #{port}" if (attempts -= 1).zero?

    sleep 0.05
    retry
  end
end
