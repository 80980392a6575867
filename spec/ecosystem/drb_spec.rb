# frozen_string_literal: true

require_relative "../support/ecosystem"

RSpec.describe "DRb", gems: %w[drb] do
  # The methods of this object run in the server's threads.
  front_class = Class.new do
    def initialize(size) = @meeting = SpecSupport::Meeting.new(size)

    # The answers come when all have called.
    def double(value)
      @meeting.arrive
      value * 2
    end

    def refuse(message) = raise(ArgumentError, message)
  end

  before(:context) { require "drb" }

  around do |example|
    @server = DRb::DRbServer.new("druby://127.0.0.1:0", front_class.new(20))
    example.run
  ensure
    @server.stop_service
    DRb::DRbConn.stop_pool
  end

  let(:front) { DRb::DRbObject.new_with_uri(@server.uri) }

  in_both_ways do
    it "calls the server from 20 fibers at a time" do
      calling = Array.new(20) { |number| -> { front.double(number) } }
      expect(together(calling)).to eq(Array.new(20) { |number| number * 2 })
    end

    it "brings back what is raised" do
      failing = Array.new(5) { |number| -> { error_of { front.refuse("number #{number}") }.message } }
      expect(together(failing)).to eq(Array.new(5) { |number| "number #{number}" })
    end
  end
end
