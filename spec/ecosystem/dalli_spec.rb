# frozen_string_literal: true

require_relative "../support/ecosystem"
require_relative "../support/server_program"

RSpec.describe "Dalli, with memcached", packages: %w[ruby-connection-pool ruby-dalli], gems: %w[logger] do
  before(:context) do
    require "dalli"
    @server = SpecSupport::ServerProgram.new(user: "nobody") do |server|
      ["memcached", "-l", "127.0.0.1", "-p", server.port, "-U", 0]
    end
  end
  after(:context) { @server&.stop }

  def memcached(**options)
    client = Dalli::Client.new("127.0.0.1:#{@server.port}", **options)
    yield client
  ensure
    client&.close
  end

  in_both_ways do
    # `cas` writes unless somebody has written since it has read.
    it "counts in 20 fibers that have all read the same number" do
      meeting = SpecSupport::Meeting.new(20)
      increment = lambda do |client|
        client.cas("count") do |count|
          meeting.arrive
          count + 1
        end
      end
      counting = -> { memcached { |client| 0.step.find { increment.call(client) } } }
      memcached { |client| client.set("count", 0) }
      tries = together([counting] * 20)
      expect(tries.count(0)).to eq(1) # the others had to read again
      expect(memcached { |client| client.get("count") }).to eq(20)
    end

    it "writes and reads megabytes" do
      data = Random.new(2).bytes(900_000)
      working = Array.new(10) do |number|
        lambda do
          memcached do |client|
            client.set("big #{number}", data, nil, raw: true)
            client.get("big #{number}", raw: true) == data
          end
        end
      end
      expect(together(working)).to eq([true] * 10)
    end

    it "shares one client among fibers that ask one after the other" do
      memcached(threadsafe: true) do |client|
        answers = together(Array.new(20) { |n| -> { client.set("n#{n}", n) && client.get("n#{n}") } })
        expect(answers).to eq((0...20).to_a)
      end
    end
  end
end
