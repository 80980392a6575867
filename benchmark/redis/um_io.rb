# frozen_string_literal: true

require_relative "common"
require "uringmachine"

machine = UM.new
io = machine.io(machine.tcp_connect("127.0.0.1", Pipelines::PORT), :socket)
# It runs before the other one, which finds the key set.
[%w[HELLO 3], %w[SET foo bar]].each { |command| io.resp_write(command) && io.resp_read }
Pipelines.measure(title: "UM::IO #{UM::VERSION}") do
  commands = +""
  Pipelines::SIZE.times { UM::IO.resp_encode(commands, %w[GET foo]) }
  io.write(commands)
  Array.new(Pipelines::SIZE) { io.resp_read }
end
