# frozen_string_literal: true

require_relative "../support/polyphony"

# Open3 and IO.popen are Ruby's own. What is checked is that they work in fibers, and that the others
# run meanwhile; each example does it in the main fiber and in a spun one.
RSpec.describe "commands under Polyphony" do
  prelude = <<~RUBY
    require "polyphony"
    require "open3"

    # What the block gives in the main fiber and in a spun one; nil where nobody else ran meanwhile.
    def both
      turns = 0
      ticking = spin { loop { sleep 0.001; turns += 1 } }
      watch = lambda do
        before = turns
        yield.then { |value| value if turns > before }
      end
      p [watch.call, spin { watch.call }.await].uniq
      exit! if $stdout.flush
    end

    STATUSES = ->(threads) { threads.map { |thread| thread.value.exitstatus } }
  RUBY

  define_method(:value_of) do |text|
    outcome = ruby_program("#{prelude}both { #{text} }")
    expect(outcome.stderr).to eq("")
    outcome.stdout.chomp
  end

  # Each command takes 30 ms or more.
  {
    "Open3.capture3" => [
      'Open3.capture3("cat; sleep 0.03; echo err >&2; exit 3", stdin_data: "in" * 100_000)
         .then { |output, error, status| [output.size, error.chomp, status.exitstatus] }',
      '[200000, "err", 3]'
    ],
    "Open3.capture2" => [
      'Open3.capture2("cat; sleep 0.03; exit 3", stdin_data: "in")
         .then { |output, status| [output, status.exitstatus] }',
      '["in", 3]'
    ],
    "Open3.capture2e" => [
      'Open3.capture2e("cat; sleep 0.03; echo err >&2", stdin_data: "in").first', '"inerr\n"'
    ],
    "Open3.popen3" => [
      'Open3.popen3("read it; sleep 0.03; echo $it; echo err >&2; exit 4") do |input, output, error, thread|
         input.puts "line"
         [output.gets, error.gets, thread.pid.positive?, thread.value.exitstatus]
       end',
      '["line\n", "err\n", true, 4]'
    ],
    "Open3.popen2" => [
      'Open3.popen2("read line; sleep 0.03; echo $line; exit 4") do |input, output, thread|
         input.puts "line"
         [output.read, thread.value.exitstatus]
       end',
      '["line\n", 4]'
    ],
    "Open3.popen2e" => [
      'Open3.popen2e("sleep 0.03; echo out; echo err >&2") { |_, output, _| output.read }', '"out\nerr\n"'
    ],
    "Open3.pipeline" => [
      'Open3.pipeline("sleep 0.03; echo out", "cat >/dev/null; exit 2").map(&:exitstatus)', "[0, 2]"
    ],
    "Open3.pipeline_r" => [
      'Open3.pipeline_r("sleep 0.03; echo out", "tr o i") do |output, threads|
         [output.read, STATUSES[threads]]
       end',
      '["iut\n", [0, 0]]'
    ],
    "Open3.pipeline_w" => [
      'Open3.pipeline_w("cat", "sleep 0.03; grep line >/dev/null") do |input, threads|
         input.puts("line")
         input.close
         STATUSES[threads]
       end',
      "[0, 0]"
    ],
    "Open3.pipeline_rw" => [
      'Open3.pipeline_rw("sleep 0.03; cat", "tr o i") do |input, output, threads|
         input.puts "out"
         input.close
         [output.read, STATUSES[threads]]
       end',
      '["iut\n", [0, 0]]'
    ],
    "Open3.pipeline_start" => [
      'Open3.pipeline_start("sleep 0.03; echo out", "cat >/dev/null", &STATUSES)', "[0, 0]"
    ],
    "IO.popen with a block" => ['IO.popen("sleep 0.03; echo out") { |io| io.read }', '"out\n"'],
    "IO.popen both ways" => [
      'IO.popen("read line; sleep 0.03; echo $line", "r+") { |io| io.puts("line"); io.close_write; io.read }',
      '"line\n"'
    ],
    "IO.popen of a fork" => [
      'IO.popen("-") { |io| io ? io.read : spin { sleep 0.03; puts "child" }.await }', '"child\n"'
    ],
    "IO.popen, closed before its end" => [
      'IO.popen("sleep 0.03; exit 3").close; $?.exitstatus', "3"
    ],
    "Process::Status.wait" => ['Process::Status.wait(spawn("sleep 0.03; exit 3")).exitstatus', "3"],
    "a command that isn't there" => [
      '[-> { system("no-such-command", exception: true) }, -> { `no-such-command` },
         -> { Open3.capture2("no-such-command") }]
         .map { |call| sleep 0.01; (call.call rescue $!.class) }.uniq',
      "[Errno::ENOENT]"
    ]
  }.each do |name, (text, expected)|
    it "by #{name} give what they give elsewhere" do
      expect(value_of(text)).to eq("[#{expected}]")
    end
  end

  it "run ten at a time" do
    outcome = ruby_program(<<~'RUBY')
      require "polyphony"
      require "open3"
      there = 0
      talks = Array.new(10) do |number|
        spin do
          Open3.popen2("echo here; read line; echo #{number} $line") do |input, output, _|
            output.gets
            there += 1
            sleep 0.001 until there == 10
            input.puts "go"
            output.read
          end
        end
      end
      puts Fiber.await(talks)
    RUBY
    expect(outcome.stdout.lines(chomp: true)).to eq(Array.new(10) { |number| "#{number} go" }), outcome.to_s
  end

  it "are left by a timeout as elsewhere: whoever ends the child leaves nothing behind" do
    outcome = ruby_program(<<~'RUBY')
      require "polyphony"
      require "open3"
      before = Thread.list.size
      body = lambda do
        Polyphony.machine.timeout(0.05, RuntimeError) do
          Open3.popen3("exec sleep 100") do |_, output, _, thread|
            output.read
          ensure
            Process.kill(:KILL, thread.pid)
          end
        end
      rescue RuntimeError
        p [Process.waitall, Thread.list.size == before]
      end
      body.call
      spin { body.call }.await
    RUBY
    expect(outcome.stdout).to eq("[[], true]\n" * 2), outcome.to_s
  end
end
