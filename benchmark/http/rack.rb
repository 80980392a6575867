# frozen_string_literal: true

# The same answer by a Rack application, as a config.ru would have it, without Rack's checks.

require "uringmachine/rack_server"
require_relative "../echo/common"

BODY = "Hello, world!\n"

app = ->(_env) { [200, { "content-type" => "text/plain" }, [BODY]] }
server = UM::RackServer.new(app, port: 0)
puts JSON.generate(port: server.port)
$stdout.flush
server.machine.spin do
  server.machine.read($stdin.fileno, +"", 1)
  exit!(0)
end
server.run
