# frozen_string_literal: true

require "open3"
require_relative "seed_003_programs"
require_relative "server_programs"
require_relative "../support/redis_server"

RSpec.describe "the programs of the text on buffer management", time_limit: 60 do
  include ServerPrograms

  def run(source)
    outcome = ruby_program(source)
    expect(outcome).to be_success, outcome.stderr
    outcome.stdout
  end

  it "reads a stream by each of the methods" do
    expect(run(Seed003::STREAM)).to eq(<<~OUTPUT)
      "a line"
      42
      "more"
      "some"
      9
      "rest"
    OUTPUT
  end

  it "talks to Redis" do
    SpecSupport::RedisServer.run do |redis|
      expect(run(Seed003::REDIS.sub("6379", redis.port.to_s))).to eq("3 bar\n")
    end
  end

  describe "the HTTP server, which defines methods of the same names itself" do
    it "answers curl, several times on one connection" do
      serve(Seed003::HTTP_SERVER) do |port, program|
        url = "http://127.0.0.1:#{port}"
        command = %W[curl -sS -m 10 #{url}/one?a=b -d body --next -sS #{url}/two]
        output, status = Open3.capture2e(*command)
        expect(status).to be_success, output
        expect(output).to eq(%(POST /one?a=b "body"\nGET /two nil\n)), program.report
      end
    end

    it "serves many connections on one ring, whose requests come in pieces" do
      serve(Seed003::HTTP_SERVER) do |port, program|
        sockets = Array.new(100) { TCPSocket.new("127.0.0.1", port) }
        request = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        request.scan(/.{1,7}/m) { |piece| sockets.each { |socket| socket.write(piece) } }
        answers = sockets.map { |socket| Array.new(4) { socket.gets }.last }
        expect(answers.uniq).to eq([%(POST /x "abc"\n)]), program.report
        sockets.each(&:close)
      end
    end
  end
end
