# frozen_string_literal: true

require "tmpdir"
require_relative "../support/ecosystem"

# SQLite doesn't wait by itself. It calls Ruby back, for functions and when another connection has
# locked the file, and there fibers may wait: in the midst of a statement.
RSpec.describe "sqlite3", packages: %w[ruby-sqlite3] do
  before(:context) { require "sqlite3" }

  around do |example|
    Dir.mktmpdir do |folder|
      @path = File.join(folder, "spec.db")
      example.run
    end
  end

  def open
    database = SQLite3::Database.new(@path)
    yield database
  ensure
    database&.close
  end

  in_both_ways do
    it "has 20 statements that wait in a function at a time" do
      meeting = SpecSupport::Meeting.new(20)
      selecting = Array.new(20) do |number|
        lambda do
          open do |database|
            database.create_function("meet", 1) do |function, value|
              meeting.arrive
              function.result = value * 2
            end
            database.get_first_value("SELECT meet(?)", [number])
          end
        end
      end
      expect(together(selecting)).to eq(Array.new(20) { |number| number * 2 })
    end

    it "waits in ten fibers for the one that has locked the file" do
      open { |database| database.execute("CREATE TABLE numbers (value INTEGER)") }
      busy = {}
      locking = lambda do
        open do |database|
          database.transaction(:immediate) do
            wait_until { busy.size == 10 }
            database.execute("INSERT INTO numbers VALUES (-1)")
          end
        end
      end
      inserting = Array.new(10) do |number|
        lambda do
          open do |database|
            database.busy_handler { busy[number] = sleep(0.001) }
            database.execute("INSERT INTO numbers VALUES (?)", [number])
          end
        end
      end
      together(locking, inserting)
      values = open { |database| database.execute("SELECT value FROM numbers ORDER BY rowid") }.flatten
      expect(values.first).to eq(-1)
      expect(values.drop(1)).to match_array(0..9)
    end
  end
end
