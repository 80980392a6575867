# frozen_string_literal: true

require "pty"
require_relative "../support/libraries"
require_relative "../support/polyphony"

# A person at a terminal: fibers run while the prompt waits.
RSpec.describe "IRB under Polyphony" do
  before do
    missing = SpecSupport::Libraries.missing("irb")
    skip(missing) if missing
  end

  # A session with `irb`; yields what types a line and waits for an answer.
  session_class = Class.new do
    def initialize(folder, *options)
      # IRB keeps its history beside the former.
      environment = { "HOME" => folder, "TERM" => "dumb", "IRBRC" => File.join(folder, "irbrc"),
                      "INPUTRC" => File::NULL }
      command = [RbConfig.ruby, "-I", SpecSupport::Subprocess::LIB, "-r", "irb", "-e", "IRB.start", "--",
                 "-f", "-r", "polyphony", "--nocolorize", "--noautocomplete", "--noscript", *options]
      @output, @input, @pid = PTY.spawn(environment, *command)
      @seen = +""
    end

    # Types a line, and waits for what matches.
    def type(line, answer)
      @input.write(line)
      @seen.clear
      wait_for(answer)
    end

    def wait_for(answer)
      until @seen.match?(answer)
        raise "no #{answer.inspect} after #{@seen.inspect}" unless @output.wait_readable(20)

        @seen << @output.readpartial(1000)
      end
    end

    def end
      Process.kill(:KILL, @pid)
      Process.wait(@pid)
    rescue Errno::ESRCH, Errno::ECHILD
      nil
    ensure
      [@input, @output].each(&:close)
    end

    def status = Process.wait2(@pid).last
  end

  { "Reline" => %w[--multiline], "one line at a time" => %w[--singleline],
    "standard input" => %w[--nomultiline --nosingleline] }.each do |name, options|
    it "runs fibers while it reads by #{name}", time_limit: 60 do
      Dir.mktmpdir do |folder|
        session = session_class.new(folder, *options)
        session.wait_for(/> /)
        session.type("turns = 0; ticking = spin { loop { sleep 0.01; turns += 1 } }; nil\n", /=> nil/)
        sleep 0.3
        session.type("[:turns, turns.positive?]\n", /\[:turns, true\]/)
        session.type("spin { sleep 0.01; 6 * 7 }.await\n", /=> 42/)
        session.type("\x03", /\^C.*> /m)
        session.type("[:after, turns > 10]\n", /\[:after, true\]/)
        session.type("Kernel.exit(3)\n", /exit/)
        expect(session.status.exitstatus).to eq(3)
      ensure
        session&.end
      end
    end
  end
end
