# frozen_string_literal: true

require "net/http"
require "stringio"
require_relative "../support/ecosystem"
require_relative "../support/nginx_server"

# WEBrick's listener in a fiber, its connections in threads, as it is made; and its connections in
# fibers as well.
RSpec.describe "WEBrick", packages: %w[ruby-webrick] do
  before(:context) do
    require "io/wait"
    require "webrick"
    # It looks how much has come in by a method that io/wait has lost in Ruby 4.0.
    unless IO.method_defined?(:nread) || Gem::Version.new(WEBrick::VERSION) > Gem::Version.new("1.9.1")
      skip("WEBrick #{WEBrick::VERSION} calls IO#nread, which Ruby #{RUBY_VERSION} doesn't have")
    end
  end

  let(:meetings) { SpecSupport::MeetingServer.new }

  let(:log) { StringIO.new }

  after do
    meetings.stop
    expect(log.string).not_to match(/ERROR|FATAL/)
  end

  # Answers a path when as many have asked as it says.
  def server(kind = WEBrick::HTTPServer)
    kind.new(BindAddress: "127.0.0.1", Port: 0, Logger: WEBrick::Log.new(log), AccessLog: []).tap do |made|
      made.mount_proc("/") do |request, response|
        meetings.meet(request.path)
        response.body = "#{request.request_method} #{request.path} #{request.body}".strip
      end
    end
  end

  # A server whose connections are fibers of the thread that it was started in; the threads they ran in
  # are noted. WEBrick wants a thread from this method, to wait for it.
  def in_fibers_kind(threads)
    Class.new(WEBrick::HTTPServer) do
      define_method(:start_thread) do |socket|
        ended = Thread::Queue.new
        Fiber.schedule do
          threads << Thread.current
          run(socket)
        ensure
          socket.close
          @tokens.push(nil)
          ended.close
        end
        Thread.new { ended.pop }
      end
    end
  end

  # The server in one fiber, the block with an open connection in each of so many others; their values.
  def serve(server, clients)
    meeting = SpecSupport::Meeting.new(clients + 1)
    fetching = Array.new(clients) do |number|
      lambda do
        Net::HTTP.start("127.0.0.1", server.config[:Port]) { |http| yield http, number }
      ensure
        meeting.arrive
      end
    end
    stopping = lambda do
      meeting.arrive
      server.shutdown
    end
    together(-> { server.start }, fetching, stopping)[1...-1]
  end

  in_both_ways do
    it "serves 20 connections at a time, each kept for three requests" do
      bodies = serve(server, 20) do |http, number|
        Array.new(3) { |round| http.post("/20/round#{round}/#{number}", "data").body }
      end
      expect(bodies).to eq(
        Array.new(20) { |number| Array.new(3) { |round| "POST /20/round#{round}/#{number} data" } }
      )
    end

    it "serves 20 connections in fibers of one thread" do
      kind = in_fibers_kind(threads = [])
      bodies = serve(server(kind), 20) { |http, number| http.get("/20/fibers/#{number}").body }
      expect(bodies).to eq(Array.new(20) { |number| "GET /20/fibers/#{number}" })
      expect(threads.uniq.size).to eq(1)
    end
  end
end
