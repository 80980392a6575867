# frozen_string_literal: true

# A client of Redis in a few lines: commands, a pipeline, and messages from one fiber to another.
#
#   redis-server --port 6380 --save "" &
#   bin/ruby examples/redis_client.rb 6380
#
# It writes to the keys that begin with "example:".

require "uringmachine"

# A connection that speaks RESP 3.
class RedisClient
  def initialize(machine, host, port)
    @machine = machine
    @fd = machine.tcp_connect(host, port)
    @io = machine.io(@fd, :socket)
    call("HELLO", "3")
  end

  def call(*command)
    @io.resp_write(command)
    receive
  end

  # Sends all commands at once, and then reads as many replies: one round trip. Errors are among
  # them.
  def pipeline(commands)
    @io.write(commands.each_with_object(+"") { |command, text| UM::IO.resp_encode(text, command) })
    commands.map { @io.resp_read }
  end

  # Errors of the server are values: whoever wants to raises them.
  def receive
    reply = @io.resp_read
    reply.is_a?(UM::IO::RESPError) ? raise(reply) : reply
  end

  def close
    @io.clear
    @machine.close(@fd)
  end
end

machine = UM.new
connect = -> { RedisClient.new(machine, "127.0.0.1", Integer(ARGV.fetch(0, 6379))) }
redis = connect.call

redis.call("DEL", "example:visits", "example:user")
puts "visits: #{redis.call("INCRBY", "example:visits", "3")}"
redis.call("HSET", "example:user", "name", "Ada", "language", "Ruby")
puts "user: #{redis.call("HGETALL", "example:user")}"

begin
  redis.call("INCR", "example:user")
rescue UM::IO::RESPError => e
  puts "refused: #{e.message}"
end

replies = redis.pipeline(Array.new(10_000) { %w[INCR example:visits] })
puts "10,000 commands in one go: #{replies.first} to #{replies.last}"

ready = UM::Queue.new
listener = machine.spin do
  subscription = connect.call
  machine.push(ready, subscription.call("SUBSCRIBE", "example:news"))
  Array.new(3) { subscription.receive.last }
ensure
  subscription&.close
end

machine.shift(ready)
%w[one two three].each { |text| redis.call("PUBLISH", "example:news", text) }
puts "messages: #{machine.join(listener).join(", ")}"
redis.close
