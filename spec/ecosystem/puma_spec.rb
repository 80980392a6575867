# frozen_string_literal: true

require "net/http"
require_relative "../support/ecosystem"
require_relative "../support/server_program"

# puma in a process of its own, with nio4r's selector in Ruby.
RSpec.describe "puma", packages: %w[puma ruby-nio4r] do
  # Its applications answer when as many requests are being served as the path says.
  def start_puma(app, *options)
    program = File.join(SpecSupport::Ecosystem.folder("puma"), "bin/puma")
    SpecSupport::ServerProgram.new do |server|
      config = server.file("config.ru", <<~RUBY)
        require "#{File.expand_path("../support/meeting", __dir__)}"
        #{app}
      RUBY
      ["env", "NIO4R_PURE=true", RbConfig.ruby, "-I", SpecSupport::Subprocess::LIB,
       *SpecSupport::Ecosystem.options, program, "-C", "-", "-e", "production", "-q",
       "-b", "tcp://127.0.0.1:#{server.port}", *options, config]
    end
  end

  def with_puma(...)
    server = start_puma(...)
    yield server.port
  ensure
    server&.stop
  end

  let(:meeting_app) { <<~'RUBY' }
    lock = Mutex.new
    meetings = {}
    run lambda { |env|
      size, name = env["PATH_INFO"].split("/").drop(1)
      lock.synchronize { meetings[name] ||= SpecSupport::Meeting.new(Integer(size)) }.arrive
      [200, {}, ["#{env["REQUEST_METHOD"]} #{env["PATH_INFO"]} #{env["rack.input"].read}".strip]]
    }
  RUBY

  # A thread of puma gets a scheduler for each request.
  let(:scheduling_app) { <<~'RUBY' }
    require "uringmachine"
    UM.new.snooze # a machine from before the fork
    run lambda { |env|
      order = []
      meeting = SpecSupport::Meeting.new(5)
      Fiber.set_scheduler(UM::FiberScheduler.new)
      5.times { |n| Fiber.schedule { order << n; meeting.arrive; order << n } }
      Fiber.set_scheduler(nil)
      [200, {}, [order.first(5).join, order.last(5).sort.join]]
    }
  RUBY

  in_both_ways do
    it "serves 20 connections at a time, each kept for three requests" do
      with_puma(meeting_app, "-t", "20:20") do |port|
        fetching = Array.new(20) do |number|
          lambda do
            Net::HTTP.start("127.0.0.1", port) do |http|
              Array.new(3) { |round| http.post("/20/round#{round}/#{number}", "data").body }
            end
          end
        end
        expect(together(fetching)).to eq(
          Array.new(20) { |number| Array.new(3) { |round| "POST /20/round#{round}/#{number} data" } }
        )
      end
    end
  end

  it "has applications that run fibers, in two processes that were forked from one with a machine" do
    with_puma(scheduling_app, "-t", "4:4", "-w", "2", "--preload") do |port|
      responses = in_fibers(Array.new(40) { -> { Net::HTTP.get_response(URI("http://127.0.0.1:#{port}/")) } })
      expect(responses.map(&:body).uniq).to eq(["0123401234"])
    end
  end
end
