# frozen_string_literal: true

require_relative "server_program"

module SpecSupport
  # A PostgreSQL cluster of our own, which forgets everything.
  class PostgresServer < ServerProgram
    PROGRAMS = Dir.glob("/usr/lib/postgresql/*/bin").max_by { |path| path[/\d+/].to_i }
    SETTINGS = { fsync: "off", max_connections: 60, autovacuum: "off",
                 unix_socket_directories: "", listen_addresses: "127.0.0.1" }.freeze

    def initialize
      raise "PostgreSQL is missing: bin/test installs it" unless PROGRAMS

      super(user: "postgres") do
        prepare(program("initdb"), "--no-sync", "--auth=trust", "--username=spec", "--encoding=UTF8",
                "--no-locale", "--pgdata=#{path("data")}")
        [program("postgres"), "-D", path("data"), "-p", port,
         *SETTINGS.flat_map { |name, value| ["-c", "#{name}=#{value}"] }]
      end
    end

    private

    def ready? = system(program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", port.to_s)

    def program(name) = File.join(PROGRAMS, name)
  end
end
