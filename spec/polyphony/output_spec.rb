# frozen_string_literal: true

require_relative "../support/polyphony"

RSpec.describe "output of many fibers" do
  # A line is one write: fibers take turns between lines, not within them.
  [true, false].each do |sync|
    it "keeps lines whole by puts and p, with $stdout.sync = #{sync}" do
      outcome = ruby_program(<<~RUBY)
        require "polyphony"
        $stdout.sync = #{sync}
        writers = Array.new(20) do |number|
          spin do
            20.times do
              p(number => "x" * 50)
              snooze if rand < 0.3
              puts "a" * 60, "b"
              sleep 0 if rand < 0.3
            end
          end
        end
        Fiber.await(writers)
      RUBY
      lines = outcome.stdout.lines(chomp: true).map { |line| line.sub(/\A\{\d+\s*=>\s*/, "{") }.tally
      expect(lines).to eq("{\"#{"x" * 50}\"}" => 400, "a" * 60 => 400, "b" => 400)
    end
  end
end
