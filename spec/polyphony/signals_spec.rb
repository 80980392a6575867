# frozen_string_literal: true

require "English"
require_relative "../support/polyphony"

# A program with Polyphony ends by a signal as the same program without it does: each example runs
# both.
RSpec.describe "signals to a program under Polyphony" do
  # Under nohup it is ignored, in programs that are started from here as well.
  before { @hangup = trap(:HUP, "DEFAULT") }

  after { trap(:HUP, @hangup || "DEFAULT") }

  # What a program has left after signals that came while it did what `body` says.
  def ended_by(signals, body, polyphony:)
    source = <<~RUBY
      require "socket"
      #{"require \"polyphony\"" if polyphony}
      $stdout.sync = true
      at_exit { puts "at exit" }
      #{body}
    RUBY
    spawn_ruby(source) do |running|
      signals.each do |signal|
        sleep 0.05 # until it really waits, or until it handles the one before
        running.kill(signal)
      end
      status = running.wait(10) || raise("it goes on: #{running.report}")
      [status.termsig, status.exitstatus, running.stdout, running.stderr[/\w+(?=\n)|\(\w+\)/]]
    end
  end

  # All of them at a time: they mostly wait.
  def at_once(things, &block) = things.map { |thing| Thread.new { block.call(thing) } }.map(&:value)

  def expect_same(signals, polyphony_body, body = polyphony_body)
    with, without = at_once([true, false]) do |polyphony|
      ended_by(signals, polyphony ? polyphony_body : body, polyphony:)
    end
    expect(with).to eq(without)
    with
  end

  # What the main fiber does: with Polyphony, and without where it is another method.
  {
    "sleeps" => ["puts 'ready'; sleep"],
    "accepts connections" => [
      "server = TCPServer.new('127.0.0.1', 0); puts 'ready'; server.accept_loop { nil }",
      "server = TCPServer.new('127.0.0.1', 0); puts 'ready'; loop { server.accept }"
    ],
    "computes" => ["puts 'ready'; number = 0; number += 1 while true"],
    "awaits a fiber that sleeps" => [
      "puts 'ready'; spin { sleep }.await", "puts 'ready'; Thread.new { sleep }.join"
    ],
    "awaits a fiber that computes" => [
      "puts 'ready'; spin { loop { nil } }.await", "puts 'ready'; Thread.new { loop { nil } }.join"
    ],
    "splices" => [
      "reader, = IO.pipe; _, writer = IO.pipe; puts 'ready'; IO.splice(reader, writer, 100)",
      "reader, = IO.pipe; _, writer = IO.pipe; puts 'ready'; IO.copy_stream(reader, writer, 100)"
    ],
    "reads a line" => ["reader, _writer = IO.pipe; puts 'ready'; reader.gets"],
    "runs a command" => ["puts 'ready'; system('sleep 100')"],
    "joins a thread" => ["puts 'ready'; Thread.new { sleep }.join"],
    "lets the others run" => ["puts 'ready'; loop { snooze }", "puts 'ready'; loop { Thread.pass }"]
  }.each do |name, bodies|
    it "end it while its main fiber #{name}" do
      ended = at_once(%i[INT TERM]) { |signal| expect_same([signal], *bodies).first }
      expect(ended).to eq(Signal.list.values_at("INT", "TERM"))
    end
  end

  it "end it by the second ctrl-C where its ensure block takes long" do
    with = expect_same(%i[INT INT], "begin; puts 'ready'; sleep; ensure; sleep 10; puts 'ensured'; end")
    expect(with[2]).to eq("ready\nat exit\n")
  end

  it "end it by the second ctrl-C where the ensure block of a fiber takes long" do
    ended = ended_by(%i[INT INT], <<~RUBY, polyphony: true)
      spin { begin; sleep; ensure; sleep 10; puts "ensured"; end }
      snooze
      puts "ready"
      sleep
    RUBY
    expect(ended.first(3)).to eq([Signal.list["INT"], nil, "ready\nat exit\n"])
  end

  it "run ensure blocks, which may wait" do
    expect_same(%i[TERM], "begin; puts 'ready'; sleep; ensure; sleep 0.01; puts 'ensured'; end")
  end

  it "can be rescued, for an exit code of one's own" do
    codes = at_once(%i[INT TERM]) do |signal|
      expect_same([signal], "begin; puts 'ready'; sleep; rescue SignalException; exit 3; end")[1]
    end
    expect(codes).to eq([3, 3])
  end

  it "that Ruby has no handler for do what they do" do
    ended = at_once(%i[HUP USR1 ALRM]) { |signal| expect_same([signal], "puts 'ready'; sleep").first }
    expect(ended).to eq(Signal.list.values_at("HUP", "USR1", "ALRM"))
  end

  it "are not needed for an end: exit codes are Ruby's as well, in the main fiber and in others" do
    endings = ["exit", "exit 3", "exit false", "abort 'message'", "raise 'failed'", "exit!(4)", "throw :none",
               "Process.kill(:TERM, $$); sleep", "at_exit { exit 5 }; exit 3", "raise Interrupt"]
    places = ["%s", "require 'polyphony'; %s", "require 'polyphony'; spin { %s }.await",
              "require 'polyphony'; spin { spin { %s }; sleep }; sleep"]
    endings.each_slice(3) do |some|
      codes = at_once(some.product(places)) do |ending, place|
        ruby_program(format(place, ending)).status.then { |status| [status.exitstatus, status.termsig] }
      end
      codes.each_slice(places.size).zip(some) do |of_one, ending|
        expect(of_one.uniq.size).to eq(1), "#{ending}: #{of_one}"
      end
    end
  end

  it "end the program while it is told of a connection that was cut" do
    outcome = ruby_program(<<~'RUBY')
      require "polyphony"
      report = Object.new
      def report.write(*) = Process.kill(:INT, Process.pid)
      error = $stderr
      $stderr = report
      spin { raise Errno::EPIPE }
      begin
        sleep
      ensure
        $stderr = error
      end
    RUBY
    expect(outcome.status.termsig).to eq(Signal.list["INT"]), outcome.stderr
  end
end
