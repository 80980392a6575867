# frozen_string_literal: true

require_relative "../support/machine_helpers"
require_relative "../support/redis_server"

# A real server: what it sends, and what it takes.
RSpec.describe UM::IO, "with redis-server" do
  include SpecSupport::MachineHelpers

  around do |example|
    SpecSupport::RedisServer.run("--enable-debug-command", "local") do |server|
      @server = server
      example.run
    end
  end
  after { clients.each(&:clear) }

  let(:clients) { [] }
  let!(:redis) { connected }

  # A connection that speaks RESP 3, or 2.
  def connected(protocol = 3)
    fd = keep(machine.tcp_connect("127.0.0.1", @server.port))
    machine.io(fd, :socket).tap do |io|
      clients << io
      hello = call(io, "HELLO", protocol.to_s)
      raise "no HELLO: #{hello.inspect}" unless hello.is_a?(protocol == 3 ? Hash : Array)
    end
  end

  def call(io, *command)
    io.resp_write(command)
    soon(20) { io.resp_read }
  end

  def redis_call(*command) = call(redis, *command)

  it "says hello as a Hash" do
    hello = redis_call("HELLO", "3")
    expect(hello).to include("server" => "redis", "proto" => 3, "role" => "master")
    # Which ones there are depends on the server; each is a Hash in its turn.
    expect(hello["modules"]).to be_an(Array).and all(include("name", "ver"))
    expect(hello["version"]).to match(/\A\d+\.\d+\.\d+\z/)
  end

  it "gives each type of RESP 3 as DEBUG PROTOCOL sends it" do
    {
      "string" => "Hello World", "integer" => 12_345, "double" => 3.141, "null" => nil,
      "array" => [0, 1, 2], "set" => [0, 1, 2], "map" => { 0 => false, 1 => true, 2 => false },
      "bignum" => 1_234_567_999_999_999_999_999_999_999_999_999_999, "true" => true, "false" => false,
      "verbatim" => "This is a verbatim\nstring"
    }.each { |type, object| expect(redis_call("DEBUG", "PROTOCOL", type)).to eql(object) }
  end

  it "gives the reply behind an attribute, and that beside it" do
    reply = "Some real reply following the attribute"
    expect([redis_call("DEBUG", "PROTOCOL", "attrib"), redis_call("ECHO", "next")]).to eq([reply, "next"])
    redis.resp_write(%w[DEBUG PROTOCOL attrib])
    expect { |block| soon(20) { redis.resp_read(&block) } }
      .to yield_with_args({ "key-popularity" => ["key:123", 90] }, reply)
  end

  it "sets and gets" do
    expect(redis_call("SET", "foo", "bar")).to eq("OK")
    expect(redis_call("GET", "foo")).to eq("bar")
    expect(redis_call("GET", "none")).to be_nil
    expect(redis_call("MSET", "a", "1", "b", "2")).to eq("OK")
    expect(redis_call("MGET", "a", "none", "b")).to eq(["1", nil, "2"])
    expect(redis_call("INCRBY", "a", "41")).to eq(42)
  end

  it "gives floats exactly" do
    expect(redis_call("ZADD", "scores", "0.1", "tenth", "1e-300", "tiny")).to eq(2)
    expect(redis_call("ZSCORE", "scores", "tenth")).to eql(0.1)
    expect(redis_call("ZRANGE", "scores", "0", "-1", "WITHSCORES")).to eq([["tiny", 1e-300], ["tenth", 0.1]])
  end

  it "gives errors, and goes on" do
    error = redis_call("NONSENSE", "x")
    expect(error).to be_an_instance_of(UM::IO::RESPError)
    expect(error.message).to match(/\AERR unknown command 'NONSENSE'/)
    redis_call("SET", "text", "x")
    expect(redis_call("LPUSH", "text", "y").message).to start_with("WRONGTYPE ")
    expect(redis_call("PING")).to eq("PONG")
  end

  it "speaks RESP 2" do
    old = connected(2)
    expect(call(old, "HSET", "hash", "k", "v", "l", "w")).to eq(2)
    expect(call(old, "HGETALL", "hash")).to eq(%w[k v l w])
    expect([call(old, "GET", "none"), call(old, "BLPOP", "none", "0.01")]).to eq([nil, nil])
    expect(call(old, "ZADD", "z", "1.5", "m")).to eq(1)
    expect(call(old, "ZSCORE", "z", "m")).to eq("1.5")
  end

  it "answers 10,000 commands of a pipeline in turn" do
    commands = +""
    10_000.times { |index| UM::IO.resp_encode(commands, ["ECHO", "value #{index}"]) }
    sender = machine.spin { redis.write(commands) }
    answers = soon(20) { Array.new(10_000) { redis.resp_read } }
    expect(answers).to eq(Array.new(10_000) { |index| "value #{index}" })
    expect(machine.join(sender)).to eq(commands.bytesize)
  end

  it "moves values of 100 MB both ways", time_limit: 90 do
    value = Random.new(1).bytes(1_000_000) * 100
    redis.resp_write(["SET", "large", value])
    expect(soon(60) { redis.resp_read }).to eq("OK")
    redis.resp_write(%w[GET large])
    expect(soon(60) { redis.resp_read } == value).to be(true)
    expect(redis_call("STRLEN", "large")).to eq(100_000_000)
  end

  it "gives a large hash" do
    pairs = Array.new(20_000) { |index| ["field#{index}", "v" * (index % 50)] }
    expect(redis_call("HSET", "hash", *pairs.flatten)).to eq(20_000)
    expect(redis_call("HGETALL", "hash")).to eq(pairs.to_h)
  end

  it "carries transactions out" do
    expect(redis_call("MULTI")).to eq("OK")
    expect(redis_call("INCR", "n")).to eq("QUEUED")
    expect(redis_call("HGETALL", "none")).to eq("QUEUED")
    expect(redis_call("LPUSH", "n", "x")).to eq("QUEUED")
    number, hash, error = redis_call("EXEC")
    expect([number, hash, error.class]).to eq([1, {}, UM::IO::RESPError])
  end

  it "runs scripts that give anything" do
    script = "return {1, 'two', {3, redis.error_reply('ERR mine')}, false, {double = 0.5}, {map = {k = 1}}}"
    *plain, inner, truth, double, map = redis_call("EVAL", "redis.setresp(3); #{script}", "0")
    expect([plain, truth, double, map]).to eq([[1, "two"], false, 0.5, { "k" => 1 }])
    expect([inner.first, inner.last.message]).to eq([3, "ERR mine"])
  end

  it "gets what others publish, between other replies" do
    expect(redis_call("SUBSCRIBE", "news")).to eq(["subscribe", "news", 1])
    reader = machine.spin { Array.new(20) { redis.resp_read } }
    publisher = connected
    counts = Array.new(20) { |index| call(publisher, "PUBLISH", "news", "message #{index}") }
    expect(counts).to all(eq(1))
    messages = Array.new(20) { |index| ["message", "news", "message #{index}"] }
    expect(soon { machine.join(reader) }).to eq(messages)
    expect(redis_call("PING")).to eq("PONG")
  end

  it "waits on one connection while another one works" do
    waiter = machine.spin { call(redis, "BLPOP", "jobs", "0") }
    expect(call(connected, "RPUSH", "jobs", "first")).to eq(1)
    expect(soon { machine.join(waiter) }).to eq(%w[jobs first])
  end

  it "keeps the reply that a timeout didn't wait for" do
    redis.resp_write(%w[BLPOP late 0])
    expect(machine.timeout(0.05, :late) { redis.resp_read }).to eq(:late)
    call(connected, "RPUSH", "late", "x" * 100_000)
    expect(soon { redis.resp_read }).to eq(["late", "x" * 100_000])
  end

  it "sees the end when the server hangs up, and connects anew" do
    redis.resp_write(%w[QUIT])
    expect([soon { redis.resp_read }, soon { redis.resp_read }]).to eq(["OK", nil])
    id = call(other = connected, "CLIENT", "ID")
    expect(call(connected, "CLIENT", "KILL", "ID", id.to_s)).to eq(1)
    expect(error_of { soon { other.resp_read } }).to be_nil.or be_a(Errno::ECONNRESET)
    expect(call(connected, "PING")).to eq("PONG")
  end
end
