# frozen_string_literal: true

require_relative "server_program"

module SpecSupport
  # A redis-server of our own, without persistence.
  class RedisServer < ServerProgram
    def self.run(*options)
      server = new(options)
      yield server
    ensure
      server&.stop
    end

    def initialize(options = [])
      super() do
        ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
         "--dir", folder, "--daemonize", "no", *options]
      end
    end
  end
end
