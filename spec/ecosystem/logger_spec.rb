# frozen_string_literal: true

require_relative "../support/ecosystem"

RSpec.describe "Logger", gems: %w[logger] do
  before(:context) { require "logger" }

  let(:lines) do
    Array.new(20) { |number| Array.new(50) { |round| "fiber #{number} line #{round} #{"x" * 200}" } }
  end

  # All fibers log when all of them are there.
  def log(logger)
    meeting = SpecSupport::Meeting.new(20)
    logger.formatter = ->(_severity, _time, _program, message) { "#{message}\n" }
    together(
      lines.map do |own|
        lambda do
          meeting.arrive
          own.each { |line| logger.info(line) }
        end
      end
    )
  end

  # Each fiber's lines in their order, and no line torn.
  def expect_all_in(written)
    by_fiber = written.group_by { |line| line[/\d+/].to_i }
    expect(by_fiber.sort.map(&:last) == lines).to be(true)
  end

  in_both_ways do
    it "keeps the lines of 20 fibers whole in a pipe that is read slowly" do
      reader, writer = IO.pipe
      reading = Thread.new { reader.each_line(chomp: true).to_a }
      log(Logger.new(writer))
      writer.close
      expect_all_in(reading.value)
      reader.close
    end

    it "keeps them whole in a file that is shifted" do
      Dir.mktmpdir do |folder|
        path = File.join(folder, "spec.log")
        logger = Logger.new(path, 10, 100_000)
        log(logger)
        logger.close
        files = [*Dir.glob("#{path}.*").reverse, path]
        expect(files.size).to be_between(2, 10)
        written = files.flat_map { |file| File.readlines(file, chomp: true) }
        expect_all_in(written.grep_v(/\A# Logfile created/))
      end
    end
  end
end
