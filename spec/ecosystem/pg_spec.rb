# frozen_string_literal: true

require "timeout"
require_relative "../support/ecosystem"
require_relative "../support/postgres_server"

# A real server, whose locks and notifications keep many fibers waiting at a time.
RSpec.describe "pg", packages: %w[ruby-pg] do
  before(:context) do
    require "pg"
    @server = SpecSupport::PostgresServer.new
  end
  after(:context) { @server&.stop }

  def postgres
    connection = PG.connect(host: "127.0.0.1", port: @server.port, user: "spec", dbname: "postgres")
    yield connection
  ensure
    connection&.close
  end

  # Until so many locks are held, or waited for.
  def wait_for_locks(connection, count, granted:)
    counting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted = $1"
    wait_until { connection.exec_params(counting, [granted]).getvalue(0, 0).to_i == count }
  end

  in_both_ways do
    it "has 20 statements that wait for a lock at a time" do
      held = Thread::Queue.new
      holding = lambda do
        postgres do |connection|
          connection.exec("SELECT pg_advisory_lock(1)")
          held.close
          wait_for_locks(connection, 20, granted: false)
        end
      end
      locking = "SELECT pg_advisory_lock_shared(1), $1::int"
      waiting = Array.new(20) do |number|
        lambda do
          held.pop
          postgres { |connection| connection.exec_params(locking, [number]).getvalue(0, 1).to_i }
        end
      end
      _, *numbers = together(holding, waiting)
      expect(numbers).to eq((0...20).to_a)
    end

    it "hears notifications in ten fibers" do
      listening = Array.new(10) do |number|
        lambda do
          postgres do |connection|
            connection.exec("LISTEN news; SELECT pg_advisory_lock_shared(2)")
            heard = nil
            connection.wait_for_notify(20) { |_channel, _pid, text| heard = text }
            "#{number}: #{heard}"
          end
        end
      end
      notifying = lambda do
        postgres do |connection|
          wait_for_locks(connection, 10, granted: true)
          connection.exec("NOTIFY news, 'hello'")
        end
      end
      *heard, _ = together(listening, notifying)
      expect(heard).to eq(Array.new(10) { |number| "#{number}: hello" })
    end

    it "copies in and out, in ten transactions at a time" do
      meeting = SpecSupport::Meeting.new(10)
      rows = Array.new(5000) { |number| "#{number}\ttext #{number}\n" }
      copying = lambda do
        postgres do |connection|
          connection.transaction do
            connection.exec("CREATE TEMPORARY TABLE copied (number int, text text)")
            connection.copy_data("COPY copied FROM STDIN") do
              rows.each_slice(100) { |some| connection.put_copy_data(some.join) }
              meeting.arrive
            end
            [].tap do |all|
              connection.copy_data("COPY copied TO STDOUT") do
                while (row = connection.get_copy_data)
                  all << row
                end
              end
            end
          end
        end
      end
      expect(together([copying] * 10).uniq == [rows]).to be(true)
    end

    it "prepares statements, and reads rows one at a time" do
      meeting = SpecSupport::Meeting.new(10)
      reading = Array.new(10) do |number|
        lambda do
          postgres do |connection|
            connection.prepare("series", "SELECT $1::int * n FROM generate_series(1, 1000) n")
            connection.send_query_prepared("series", [number])
            connection.set_single_row_mode
            sum = 0
            connection.get_result.stream_each_row do |row|
              meeting.arrive if sum.zero?
              sum += row.first.to_i + 1
            end
            connection.get_result
            sum - 1000
          end
        end
      end
      expect(together(reading)).to eq(Array.new(10) { |number| number * 500_500 })
    end

    it "raises what the server says, and interrupts a statement" do
      failing = -> { postgres { |connection| error_of { connection.exec("SELECT 1 / 0") } } }
      interrupted = lambda do
        postgres do |connection|
          error = error_of { Timeout.timeout(0.02) { connection.exec("SELECT pg_sleep(20)") } }
          connection.cancel
          connection.discard_results
          [error.class, connection.exec("SELECT 'usable'").getvalue(0, 0)]
        end
      end
      error, interruption = together(failing, interrupted)
      expect(error).to be_a(PG::DivisionByZero)
      expect(interruption).to eq([Timeout::Error, "usable"])
    end
  end
end
