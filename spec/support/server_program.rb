# frozen_string_literal: true

require "English"
require "etc"
require "fileutils"
require "socket"
require "tmpdir"
require_relative "free_port"
require_relative "gc_mode"

module SpecSupport
  # A server that somebody else wrote, in an empty folder and on a port of its own.
  class ServerProgram
    # To start, and to end when it is asked to.
    SECONDS = 15
    PATIENCE = 5

    attr_reader :port, :folder

    # The block gets this object, may write files, and gives the command.
    def initialize(user: nil)
      @held = FreePort.new
      @port = @held.number
      @folder = Dir.mktmpdir("polyphony-server")
      @user = user if Process.uid.zero?
      FileUtils.chown(@user, nil, @folder) if @user
      command = as_user(yield(self).map(&:to_s))
      @pid = spawn(*command, chdir: @folder, in: File::NULL, out: log, err: log)
      wait
    rescue StandardError
      stop
      raise
    end

    def path(name) = File.join(@folder, name)

    # Writes a file into the folder; its path.
    def file(name, content) = path(name).tap { |path| File.write(path, content) }

    # Runs a program to its end before the server starts.
    def prepare(*command)
      output = IO.popen(as_user(command), chdir: @folder, err: %i[child out], &:read)
      raise "#{command.first}:\n#{output}" unless $CHILD_STATUS.success?
    end

    # Politely; it has nothing that is worth saving.
    def stop
      end_process if @pid
    ensure
      if @folder
        # One who is not root can take nothing out of a folder that can only be read.
        FileUtils.chmod_R("u+rwX", @folder, force: true)
        FileUtils.remove_entry(@folder)
      end
      @held&.release
    end

    private

    # A server that is still starting may miss the signal (puma's workers do).
    def end_process
      Process.kill(:TERM, @pid)
      ended = within(PATIENCE) { Process.wait(@pid, Process::WNOHANG) }
      return if ended

      Process.kill(:KILL, @pid)
      Process.wait(@pid)
    rescue Errno::ESRCH, Errno::ECHILD
      nil # it didn't start
    end

    # Some refuse to run as root.
    def as_user(command)
      return command unless @user

      group = Etc.getpwnam(@user).gid
      ["setpriv", "--reuid=#{@user}", "--regid=#{group}", "--clear-groups", *command]
    end

    def wait
      ended = false
      started = within(SECONDS * GCMode.slowdown) { ready? || (ended = Process.wait(@pid, Process::WNOHANG)) }
      raise "the server did not start:\n#{File.read(log)}" if ended || !started
    end

    # The block's first true value; nil when there was none for so many seconds.
    def within(seconds)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
      until (value = yield)
        return if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

        sleep 0.02
      end
      value
    end

    # Whether it listens; some need longer than that.
    def ready?
      TCPSocket.new("127.0.0.1", @port).close
      true
    rescue Errno::ECONNREFUSED
      false
    end

    def log = path("log")
  end
end
