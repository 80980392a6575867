# frozen_string_literal: true

require "tmpdir"
require_relative "../support/ecosystem"

RSpec.describe "Sequel, with SQLite", packages: %w[ruby-sqlite3 ruby-sequel], gems: %w[bigdecimal] do
  before(:context) do
    require "sequel"
    Sequel.extension(:fiber_concurrency)
  end

  around do |example|
    Dir.mktmpdir do |folder|
      # SQLite's own way of waiting for a lock would keep all fibers waiting.
      waiting = ->(connection) { connection.busy_handler { sleep 0.001 } }
      @database = Sequel.sqlite(File.join(folder, "spec.db"),
                                max_connections: 10, pool_timeout: 20, after_connect: waiting)
      example.run
    ensure
      @database.disconnect
    end
  end

  in_both_ways do
    it "gives ten fibers a connection of their own, and others one when it is free" do
      meeting = SpecSupport::Meeting.new(10)
      connections = together(Array.new(20) do
        -> { @database.synchronize { |connection| connection.object_id.tap { meeting.arrive } } }
      end)
      expect(connections.uniq.size).to eq(10)
    end

    it "keeps the transactions of fibers apart" do
      @database.create_table(:numbers) { Integer :value }
      outcomes = together(Array.new(5) do |number|
        lambda do
          @database.transaction(mode: :immediate) do
            @database[:numbers].insert(number)
            sleep 0.001
            raise Sequel::Rollback if number.odd?

            @database[:numbers].where(value: number).count
          end
        end
      end)
      expect(outcomes).to eq([1, nil, 1, nil, 1])
      expect(@database[:numbers].select_map(:value)).to contain_exactly(0, 2, 4)
    end
  end
end
