# frozen_string_literal: true

# Serves a Rack 3 application: UM::RackServer, and what a program around it has to do. Needs the
# rack gem.
#
#   bin/ruby examples/rack_server.rb examples/rack/config.ru --port 9292
#   curl http://127.0.0.1:9292/
#
# Ends with ctrl-C or SIGTERM: requests that are being served have ten seconds to end.

require "optparse"
require "uringmachine/rack_server"

options = { host: "127.0.0.1", port: 9292 }
OptionParser.new do |parser|
  parser.banner = "usage: rack_server.rb CONFIG.RU [options]"
  parser.on("--host NAME", "default #{options[:host]}")
  parser.on("--port NUMBER", Integer, "default #{options[:port]}, 0: any that is free")
  parser.on("--timeout SECONDS", Float, "that a client may take")
  parser.on("--grace SECONDS", Float, "that requests have at the end")
end.parse!(into: options)

server = UM::RackServer.new(UM::RackServer.load(ARGV.fetch(0)), **options)
puts "serving on #{server.host}, port #{server.port}"
$stdout.flush

%w[INT TERM].each { |signal| trap(signal) { server.stop } }
server.run
