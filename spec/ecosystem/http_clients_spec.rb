# frozen_string_literal: true

require_relative "../support/ecosystem"
require_relative "../support/nginx_server"

# Against nginx, which passes the requests on to a server that answers when all of them have come.
RSpec.describe "HTTP clients",
               packages: %w[ruby-connection-pool ruby-excon ruby-faraday ruby-faraday-net-http
                            ruby-net-http-persistent],
               gems: %w[logger] do
  before(:context) do
    require "excon"
    require "faraday"
    require "net/http/persistent"
    @nginx = SpecSupport::NginxServer.new
  end
  after(:context) { @nginx&.stop }
  before { @nginx.meetings.reset }

  let(:address) { "http://127.0.0.1:#{@nginx.port}" }

  in_both_ways do
    it "fetches with Faraday, JSON and all" do
      clients = Array.new(20) do |number|
        lambda do
          connection = Faraday.new(address) { |builder| builder.request(:json) }
          connection.post("/20/faraday/#{number}", { number: }).body
        end
      end
      expect(together(clients)).to eq(Array.new(20) { |n| "POST /20/faraday/#{n} {\"number\":#{n}}" })
    end

    it "fetches with Excon, whose connections are kept" do
      clients = Array.new(20) do |number|
        lambda do
          connection = Excon.new(address, persistent: true)
          answers = Array.new(2) { |round| connection.get(path: "/20/excon#{round}/#{number}") }
          connection.reset
          answers.map { |answer| [answer.body, answer.headers["X-Connection"].split.last] }
        end
      end
      expect(together(clients)).to eq(
        Array.new(20) { |n| [["GET /20/excon0/#{n}", "1"], ["GET /20/excon1/#{n}", "2"]] }
      )
    end

    it "fetches with Net::HTTP::Persistent: one pool for all fibers" do
      pool = Net::HTTP::Persistent.new(name: "spec", pool_size: 20)
      clients = Array.new(20) do |number|
        -> { Array.new(2) { |round| pool.request(URI("#{address}/20/pool#{round}/#{number}")).body } }
      end
      bodies = together(clients)
      pool.shutdown
      expect(bodies).to eq(Array.new(20) { |n| Array.new(2) { |round| "GET /20/pool#{round}/#{n}" } })
    end
  end
end
