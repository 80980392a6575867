# frozen_string_literal: true

require "net/http"
require "open3"
require "socket"
require_relative "subprocess"

module SpecSupport
  # Rack applications in a process of their own, served by examples/rack_server.rb.
  module RackServers
    include Subprocess

    PROGRAM = File.read(File.expand_path("../../examples/rack_server.rb", __dir__))

    # Serves a config.ru, with Rack's checks before and behind it; yields the port and the program.
    def serve(config, *options, lint: true)
      Dir.mktmpdir do |folder|
        path = File.join(folder, "config.ru")
        File.write(path, lint ? "use Rack::Lint\n#{config}" : config)
        spawn_ruby(PROGRAM, path, "--port", 0, *options) do |program|
          yield Integer(program.stdout[/port (\d+)/, 1]), program
        end
      end
    end

    # An application that shows what is in its environment, as JSON.
    def app_showing(expression)
      "require 'json'\nrun ->(env) { [200, {}, [JSON.dump(#{expression})]] }"
    end

    # The answer of curl.
    def curl(*arguments)
      output, errors, status = Open3.capture3("curl", "-sS", "--max-time", "20", *arguments)
      raise "curl: #{errors}" unless status.success?

      output
    end

    # Sends these bytes; all that comes until the server closes.
    def exchange(port, bytes)
      connect(port) do |socket|
        socket.write(bytes)
        socket.read
      end
    end

    # Gives up where the server says nothing.
    def connect(port, &)
      TCPSocket.open("127.0.0.1", port) do |socket|
        socket.timeout = 10 * GCMode.slowdown
        yield socket
      end
    end

    def get(path, *headers, connection: "close")
      lines = ["GET #{path} HTTP/1.1", "Host: example.org:8080", "Connection: #{connection}", *headers]
      "#{lines.join("\r\n")}\r\n\r\n"
    end

    # Head and body of an answer.
    def parts_of(answer) = answer.split("\r\n\r\n", 2)
  end
end

RSpec.configure { |config| config.include SpecSupport::RackServers, file_path: %r{spec/rack_server/} }
