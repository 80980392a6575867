# frozen_string_literal: true

# Shared by the benchmarks and the demo: the native programs, children with a time limit, medians
# and tables.

require "English"
require "etc"
require "io/wait"
require "json"
require "optparse"
require "rbconfig"

$stdout.sync = true

module Bench
  ROOT = File.expand_path("..", __dir__)
  LIB = File.join(ROOT, "lib")
  TARGET_DIR = File.join(ROOT, "target", "benchmark")

  # A child that failed, hung or printed something else than its result.
  class Failed < StandardError; end

  module_function

  # The command line of a Ruby program of ours, run by this Ruby.
  def ruby(script, *args)
    flags = ENV.fetch("BENCH_RUBY_FLAGS", "").split
    [RbConfig.ruby, *flags, "-I", LIB, File.join(ROOT, script), *args.map(&:to_s)]
  end

  # Whether this build of the machine has a method: benchmarks also run on older ones.
  def machine_has?(method)
    system(RbConfig.ruby, "-I", LIB, "-r", "uringmachine", "-e", "exit UM.method_defined?(:#{method})")
  end

  # The command line of a native program; the first call builds them (seconds when it is done).
  def native(command, *args)
    @native ||= build_native
    [@native, command, *args.map(&:to_s)]
  end

  def build_native
    manifest = File.join(__dir__, "native", "Cargo.toml")
    command = ["cargo", "build", "--release", "--quiet", "--locked", "--manifest-path", manifest,
               "--target-dir", TARGET_DIR]
    system(*command) or raise Failed, "could not build the native programs: #{command.join(" ")}"
    File.join(TARGET_DIR, "release", "polyphony-bench")
  end

  # Runs a program to its end and gives the JSON of its last line.
  def run_json(command, limit: 180)
    Child.open(command) { |child| child.finish(limit:) }
  end

  # Runs all commands in turn, so many rounds: by name, the results of its rounds.
  def alternate(commands, rounds, limit: 180)
    results = commands.transform_values { [] }
    rounds.times { commands.each { |name, command| results[name] << run_json(command, limit:) } }
    results
  end

  # Each round's figure by the other's of the same round: what slows down both counts in neither.
  def ratios(values, others) = values.zip(others).map { |value, other| value / other }

  # The middle value; of two middle ones the mean.
  def median(values)
    sorted = values.sort
    half = sorted.size / 2
    sorted.size.odd? ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2.0
  end

  # "low..high" of several rounds.
  def spread(values, digits = 2)
    format("%.#{digits}f..%.#{digits}f", values.min, values.max)
  end

  # Prints rows under a header; the columns `right` (all but the first) are set to the right.
  def table(header, rows, right: (1...header.size))
    cells = [header, *rows].map { |row| row.map(&:to_s) }
    widths = cells.transpose.map { |column| column.map(&:length).max }
    lines = cells.map do |row|
      row.each_with_index.map { |text, i| text.public_send(right.include?(i) ? :rjust : :ljust, widths[i]) }
    end
    lines.insert(1, widths.map { |width| "-" * width })
    lines.each { |line| puts line.join("  ").rstrip }
  end

  # A figure against its target, as text: "1.43 (target 1.6, met)".
  def verdict(value, target, digits = 2)
    format("%.#{digits}f (target %g, %s)", value, target, value <= target ? "met" : "MISSED")
  end

  # The same as a cell of a table, empty where there is no target.
  def met(value, target) = target && (value <= target ? "met" : "MISSED")

  # Options that every benchmark knows, over its own defaults.
  def options(defaults)
    chosen = defaults.dup
    OptionParser.new do |parser|
      defaults.each do |name, value|
        type = value.is_a?(Array) ? Array : value.class
        parser.on("--#{name} VALUE", type, "default #{Array(value).join(",")}") { chosen[name] = _1 }
      end
    end.parse!
    chosen
  end

  # What the figures were measured on, as one line.
  def machine_line
    cpu = File.foreach("/proc/cpuinfo").grep(/^model name/).first.to_s.split(":").last.to_s.strip
    "#{cpu}, #{Etc.nprocessors} cores, Linux #{Etc.uname[:release]}, Ruby #{RUBY_VERSION}"
  end

  # A program that was started by us: its stdin is a pipe whose end tells it to stop, its stdout
  # is read line by line, its stderr is ours.
  class Child
    GRACE = 3.0

    attr_reader :pid

    def self.open(command, **options)
      child = new(command, **options)
      yield child
    ensure
      child&.stop
    end

    # `err: :pipe` makes its stderr readable by `error_line`.
    def initialize(command, err: $stderr)
      stdin, @stdin = IO.pipe
      @stdout, stdout = IO.pipe
      @stderr, err = IO.pipe if err == :pipe
      @command = command
      # A group of its own: ctrl-C reaches us, and we end it.
      @pid = spawn(*command, in: stdin, out: stdout, err:, pgroup: true)
      [stdin, stdout, (err if @stderr)].compact.each(&:close)
    end

    # The next line of output as JSON.
    def line(limit: 30)
      raise Failed, "#{name}: no output for #{limit} s" unless @stdout.wait_readable(limit)

      text = @stdout.gets
      raise Failed, "#{name}: ended without a result (#{wait(GRACE) || "still running"})" unless text

      JSON.parse(text, symbolize_names: true)
    rescue JSON::ParserError
      raise Failed, "#{name}: printed #{text.inspect}"
    end

    # The match of the first line on its stderr that has one.
    def error_line(pattern, limit: 10)
      while @stderr.wait_readable(limit) && (text = @stderr.gets)
        match = pattern.match(text) and return match
      end
      raise Failed, "#{name}: nothing like #{pattern.inspect} on its stderr"
    end

    # The result of a program that ends by itself.
    def finish(limit: 60)
      result = line(limit:)
      succeed(limit:)
      result
    end

    # Waits for its end, which has to be a good one.
    def succeed(limit: 60)
      status = wait(limit) or raise Failed, "#{name}: still running after #{limit} s"
      raise Failed, "#{name}: #{status}" unless status.success?
    end

    # Tells a server of ours to end.
    def close_stdin = @stdin.close

    # Ends it, by the end of its stdin and then by signals, if it hasn't ended. After a failure
    # or ctrl-C there is little patience.
    def stop
      @stdin.close
      wait($ERROR_INFO ? 0.2 : GRACE) || signal(:TERM) || signal(:KILL)
      [@stdout, @stderr].compact.each(&:close)
    end

    private

    def name
      script = @command.find { |word| word.end_with?(".rb") }
      script ? script.delete_prefix("#{ROOT}/") : @command.first(2).join(" ")
    end

    def signal(signal)
      warn "#{name}: did not end, sending SIG#{signal}" unless $ERROR_INFO
      Process.kill(signal, @pid)
      wait(GRACE)
    end

    def wait(limit)
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + limit
      until @status
        _, @status = Process.wait2(@pid, Process::WNOHANG)
        break if @status || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline

        sleep 0.01
      end
      @status
    end
  end
end
