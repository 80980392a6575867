# frozen_string_literal: true

# The redis-client gem, or where that is missing the redis gem up to version 4, which has a client of
# its own: both in plain Ruby, without hiredis.

require_relative "common"

# Debian's packages of gems, for whichever Ruby runs this.
DEBIAN = "/usr/share/rubygems-integration/all"
Gem.paths = { "GEM_PATH" => [*Gem.path, DEBIAN].join(":") }

def load_client
  require "redis-client"
  client = RedisClient.config(host: "127.0.0.1", port: Pipelines::PORT).new_client
  ["redis-client #{RedisClient::VERSION}",
   -> { client.pipelined { |it| Pipelines::SIZE.times { it.call("GET", "foo") } } }]
rescue LoadError
  require "redis"
  client = Redis.new(host: "127.0.0.1", port: Pipelines::PORT, driver: :ruby)
  ["redis #{Redis::VERSION}",
   -> { client.pipelined { |it| Pipelines::SIZE.times { it.get("foo") } } }]
end

begin
  title, pipeline = load_client
rescue LoadError
  puts JSON.generate({ missing: true })
  exit
end
Pipelines.measure(title:) { pipeline.call }
