# frozen_string_literal: true

require "rbconfig"
require "tmpdir"

module SpecSupport
  # Ruby programs in processes of their own, with this suite's Ruby, lib folder and gems.
  module Subprocess
    # What a program has left behind.
    Outcome = Data.define(:status, :stdout, :stderr) do
      def success? = status.success?
    end

    # A program that is running.
    class RunningProgram
      POLL_SECONDS = 0.005

      attr_reader :pid

      def initialize(command, folder, environment)
        @output = File.join(folder, "stdout")
        @errors = File.join(folder, "stderr")
        # A group of its own, so that its children end with it.
        @pid = Process.spawn(environment, *command, in: File::NULL, out: @output, err: @errors, pgroup: true)
      end

      def stdout = File.read(@output)

      def stderr = File.read(@errors)

      def kill(signal = :TERM)
        Process.kill(signal, pid) unless @status
      end

      # The exit status, or nil when it is still running after that many seconds.
      def wait(seconds)
        reached?(seconds) { @status ||= Process.wait2(pid, Process::WNOHANG)&.last }
        @status
      end

      # Waits for a whole line on standard output (the first one by default).
      def wait_for_line(pattern = //, seconds: 10)
        reached?(seconds) { line(pattern) || wait(0) }
        line(pattern) || raise("no line #{pattern.inspect} within #{seconds} s; #{report}")
      end

      # Ends it, politely first, and whatever it has started; returns its status.
      def stop(seconds = 2)
        kill(:TERM)
        wait(seconds)
        kill_group
        wait(10)
      end

      def kill_group
        Process.kill(:KILL, -pid)
      rescue Errno::ESRCH
        nil # all of it has ended
      end

      def report = "status: #{@status.inspect}\nstdout:\n#{stdout}\nstderr:\n#{stderr}"

      private

      def line(pattern)
        stdout.lines.find { |text| text.end_with?("\n") && text.match?(pattern) }&.chomp
      end

      def reached?(seconds)
        deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + seconds
        until yield
          return false if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

          sleep POLL_SECONDS
        end
        true
      end
    end

    LIB = File.expand_path("../../lib", __dir__)

    # Runs a program to its end; it is killed and the example fails when that takes too long.
    def ruby_program(source, *arguments, timeout: 10, environment: {})
      with_program(source, arguments, environment) do |program|
        status = program.wait(timeout * GCMode.slowdown)
        raise "the program did not end within #{timeout} s; #{program.report}" unless status

        Outcome.new(status:, stdout: program.stdout, stderr: program.stderr)
      end
    end

    # Starts a program, waits for its first line (a server prints one when it listens), yields
    # it, and stops it. It has to flush that line: `$stdout.sync = true`.
    def spawn_ruby(source, *arguments, timeout: 10)
      with_program(source, arguments) do |program|
        program.wait_for_line(seconds: timeout * GCMode.slowdown)
        yield program
      end
    end

    private

    def with_program(source, arguments, environment = {})
      Dir.mktmpdir("polyphony-spec") do |folder|
        path = File.join(folder, "program.rb")
        File.write(path, source)
        command = [RbConfig.ruby, "-I", LIB, path, *arguments.map(&:to_s)]
        program = RunningProgram.new(command, folder, environment)
        yield program
      ensure
        program&.stop
      end
    end
  end
end
