# frozen_string_literal: true

require_relative "../support/ecosystem"
require_relative "../support/redis_server"

# A real server, whose blocking commands keep many fibers waiting at a time.
RSpec.describe "redis-rb and redis-client",
               packages: %w[ruby-connection-pool ruby-redis-client ruby-redis] do
  before(:context) do
    require "redis"
    @server = SpecSupport::RedisServer.new
  end
  after(:context) { @server&.stop }

  let(:clients) { [] }

  after { clients.each(&:close) }

  def server = { host: "127.0.0.1", port: @server.port, timeout: 20 }

  def redis(**options) = Redis.new(**server, **options).tap { |client| clients << client }

  def redis_client(**options) = RedisClient.new(**server, **options).tap { |client| clients << client }

  # Until the server says that so many clients are blocked.
  def wait_for_blocked(client, count)
    wait_until { client.info("clients")["blocked_clients"].to_i == count }
  end

  in_both_ways do
    it "waits in 30 fibers for what another one pushes" do
      waiting = Array.new(30) { |number| -> { redis.blpop("list #{number}").last } }
      pushing = lambda do
        wait_for_blocked(client = redis, 30)
        29.downto(0) { |number| client.rpush("list #{number}", number) }
      end
      *values, _ = together(waiting, pushing)
      expect(values).to eq(("0".."29").to_a)
    end

    it "counts, pipelines and runs transactions in many fibers" do
      counting = Array.new(20) do
        lambda do
          client = redis
          20.times { client.incr("counter") }
          client.pipelined { |pipeline| 20.times { pipeline.incr("counter") } }
          client.multi { |transaction| 10.times { transaction.incr("counter") } }
        end
      end
      redis.set("counter", 0)
      together(counting)
      expect(redis.get("counter")).to eq("1000")
    end

    it "subscribes in ten fibers and publishes in another one" do
      subscribers = Array.new(10) do
        lambda do
          messages = []
          client = redis
          client.subscribe("news") do |on|
            on.message do |_channel, message|
              messages << message
              client.unsubscribe if message == "last"
            end
          end
          messages
        end
      end
      publishing = lambda do
        client = redis
        wait_until { client.pubsub("numsub", "news").last == 10 }
        %w[first second last].each { |message| client.publish("news", message) }
      end
      *heard, _ = together(subscribers, publishing)
      expect(heard).to eq([%w[first second last]] * 10)
    end

    it "shares a pool of connections among more fibers than it has" do
      pool = RedisClient.config(**server).new_pool(size: 5, timeout: 20)
      working = Array.new(20) do |number|
        lambda do
          pool.with { |client| [client.call("CLIENT", "ID"), client.call("ECHO", number)] }
        end
      end
      answers = together(working)
      pool.close
      expect(answers.map(&:last)).to eq((0..19).map(&:to_s))
      expect(answers.map(&:first).uniq.size).to be_between(1, 5)
    end

    it "raises in 20 fibers whose connections the server cuts" do
      waiting = Array.new(20) { -> { error_of { redis(reconnect_attempts: 0).blpop("nothing") } } }
      cutting = lambda do
        wait_for_blocked(client = redis, 20)
        client.call("CLIENT", "KILL", "TYPE", "normal")
      end
      *errors, _ = together(waiting, cutting)
      expect(errors).to all(be_a(Redis::BaseConnectionError))
    end

    it "gives up after the timeout, and connects again" do
      client = redis_client(read_timeout: 0.02, reconnect_attempts: 0)
      timing_out = lambda do
        error = error_of { client.blocking_call(0.02, "BLPOP", "nothing", 0) }
        [error.class, client.call("PING")]
      end
      outcome, others = together(timing_out, -> { Array.new(10) { redis_client.call("PING") } })
      expect(outcome).to eq([RedisClient::ReadTimeoutError, "PONG"])
      expect(others).to eq(["PONG"] * 10)
    end
  end

  it "waits in a program's root fiber for what a spun one pushes" do
    outcome = ruby_program(<<~'RUBY', @server.port, *$LOAD_PATH)
      port = Integer(ARGV.shift)
      $LOAD_PATH.concat(ARGV)
      require "polyphony"
      require "redis"
      connect = -> { Redis.new(host: "127.0.0.1", port:) }
      pushing = spin do
        redis = connect.call
        sleep 0.001 until redis.info("clients")["blocked_clients"] == "1"
        redis.rpush("root", "pushed")
      end
      puts connect.call.blpop("root").last
      pushing.await
    RUBY
    expect([outcome.stdout, outcome.stderr, outcome.status.exitstatus]).to eq(["pushed\n", "", 0])
  end
end
