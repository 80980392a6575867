# frozen_string_literal: true

require "fileutils"
require "socket"
require "tmpdir"
require_relative "free_port"
require_relative "gc_mode"

module SpecSupport
  # A redis-server of our own, without persistence, in an empty folder.
  class RedisServer
    SECONDS = 15

    attr_reader :port

    def self.run(*options)
      FreePort.hold do |port|
        server = new(port, options)
        yield server
      ensure
        server&.stop
      end
    end

    def initialize(port, options)
      @port = port
      @folder = Dir.mktmpdir("polyphony-redis")
      @pid = start(options)
      wait
    rescue StandardError
      stop
      raise
    end

    # It has nothing to save, so it ends at once.
    def stop
      Process.kill(:TERM, @pid)
      Process.wait(@pid)
    rescue Errno::ESRCH, Errno::ECHILD
      nil # it didn't start
    ensure
      FileUtils.remove_entry(@folder)
    end

    private

    def start(options)
      settings = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                  "--dir", @folder, "--daemonize", "no", *options]
      spawn("redis-server", *settings.map(&:to_s), out: log, err: log)
    end

    def wait
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + (SECONDS * GCMode.slowdown)
      until listening?
        late = Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
        raise "redis-server did not start:\n#{File.read(log)}" if late

        sleep 0.02
      end
    end

    def listening?
      TCPSocket.new("127.0.0.1", port).close
      true
    rescue Errno::ECONNREFUSED
      false
    end

    def log = File.join(@folder, "log")
  end
end
