# frozen_string_literal: true

require "digest"
require "json"
require "tempfile"
require_relative "../support/rack_servers"

RSpec.describe "UM::RackServer: rack.input" do
  def post(body, *headers)
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n#{headers.map { |line| "#{line}\r\n" }.join}" \
      "Content-Length: #{body.bytesize}\r\n\r\n#{body}"
  end

  def seen(port, request) = JSON.parse(parts_of(exchange(port, request)).last)

  {
    "read" => ["[input.read, input.read, input.read(1)]", ["ab\ncd\n\nef", "", nil]],
    "read with a length" => ["[input.read(4), input.read(0), input.read(100), input.read(1), input.read(0)]",
                             ["ab\nc", "", "d\n\nef", nil, ""]],
    "read into a buffer" => ['[(b = +"old"; input.read(2, b).equal?(b)), b.dup, ' \
                             "input.read(nil, b).dup, input.read(1, b), b]",
                             [true, "ab", "\ncd\n\nef", nil, ""]],
    "gets" => ["Array.new(5) { input.gets }", ["ab\n", "cd\n", "\n", "ef", nil]],
    "each" => ["[input.gets, [].tap { |all| input.each { |line| all << line } }]", ["ab\n", %W[cd\n \n ef]]]
  }.each do |name, (expression, expected)|
    it "has #{name}, as IO has" do
      serve(app_showing("(input = env['rack.input']; #{expression})")) do |port|
        expect(seen(port, post("ab\ncd\n\nef"))).to eq(expected)
      end
    end
  end

  it "is empty where there is no body" do
    serve(app_showing("(input = env['rack.input']; [input.read, input.gets, input.read(5)])")) do |port|
      expect(seen(port, get("/"))).to eq(["", nil, nil])
    end
  end

  it "finds lines that come in pieces" do
    serve(app_showing("(input = env['rack.input']; [input.gets, input.gets, input.read])")) do |port|
      connect(port) do |socket|
        socket.write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9\r\n\r\n")
        %W[one \ntw o\n 3].each do |piece|
          sleep 0.02
          socket.write(piece)
        end
        expect(JSON.parse(parts_of(socket.read).last)).to eq(%W[one\n two\n 3])
      end
    end
  end

  it "reads a large body while it comes" do
    app = <<~RUBY
      require "digest"
      run lambda { |env|
        digest = Digest::SHA256.new
        while (piece = env["rack.input"].read(50_000))
          digest << piece
        end
        [200, {}, [digest.hexdigest]]
      }
    RUBY
    serve(app) do |port|
      Tempfile.create do |file|
        bytes = Random.new(1).bytes(20_000_000)
        file.binmode.write(bytes)
        file.flush
        [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]].each do |options|
          answer = curl(*options, "-T", file.path, "http://127.0.0.1:#{port}/")
          expect(answer).to eq(Digest::SHA256.hexdigest(bytes)), options.inspect
        end
      end
    end
  end

  it "passes over what the application doesn't read" do
    serve('run ->(env) { [200, {}, [env["PATH_INFO"]]] }') do |port|
      body = "x" * 10_000
      first = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}"
      expect(exchange(port, first + get("/b")).scan(%r{^/[ab]})).to eq(["/a", "/b"])
    end
  end

  it "refuses more than max_body, and the server goes on" do
    program = <<~RUBY
      require "uringmachine/rack_server"
      app = ->(env) { [200, {}, [env["rack.input"].read.size.to_s]] }
      server = UM::RackServer.new(app, port: 0, max_body: 1000, max_head: 500, max_headers: 5)
      trap(:TERM) { server.stop }
      puts server.port
      $stdout.flush
      server.run
    RUBY
    spawn_ruby(program) do |running|
      port = Integer(running.stdout)
      expect(exchange(port, post("x" * 1001))).to start_with("HTTP/1.1 413 ")
      expect(exchange(port, post("x" * 1000))).to end_with("\r\n\r\n1000")
      expect(exchange(port, get("/", "X: #{"y" * 500}"))).to start_with("HTTP/1.1 431 ")
      expect(exchange(port, get("/", *Array.new(4) { |n| "X#{n}: y" }))).to start_with("HTTP/1.1 431 ")
    end
  end
end
