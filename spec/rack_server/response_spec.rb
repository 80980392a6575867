# frozen_string_literal: true

require_relative "../support/rack_servers"

RSpec.describe "UM::RackServer: responses" do
  it "have the application's status, headers and body, a date and a length" do
    headers = '{"content-type" => "text/plain", "set-cookie" => ["a=1", "b=2"], "rack.mine" => "no"}'
    serve("run ->(_) { [201, #{headers}, ['one ', 'two']] }") do |port|
      head, body = parts_of(exchange(port, get("/")))
      expect(head.lines(chomp: true)).to match(
        ["HTTP/1.1 201 Created", "content-type: text/plain", "set-cookie: a=1", "set-cookie: b=2",
         /\Adate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\z/, "Connection: close", "Content-Length: 7"]
      )
      expect(body).to eq("one two")
    end
  end

  it "join parts of any encoding" do
    serve(%q(run ->(_) { [200, {}, ["\u00fc", "\xff".b]] })) do |port|
      expect(parts_of(exchange(port, get("/"))).last.b).to eq("\xc3\xbc\xff".b)
    end
  end

  it "keep the connection, also for requests that come at once" do
    serve('run ->(env) { [200, {}, [env["PATH_INFO"]]] }') do |port|
      requests = (1..50).map { |number| get("/#{number}", connection: number == 50 ? "close" : "keep-alive") }
      expect(exchange(port, requests.join).scan(%r{^/\d+}).map { |path| path[1..].to_i }).to eq([*1..50])
    end
  end

  it "keep a connection of HTTP/1.0 if it asks for that" do
    serve('run ->(_) { [200, {}, ["x\n"]] }') do |port|
      keep = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
      answers = exchange(port, "#{keep}GET / HTTP/1.0\r\n\r\n#{keep}")
      expect(answers.scan(/^(?:HTTP|Connection).*\r/)).to eq(
        ["HTTP/1.1 200 OK\r", "Connection: keep-alive\r", "HTTP/1.1 200 OK\r", "Connection: close\r"]
      )
    end
  end

  it "are empty where HTTP wants them so" do
    app = <<~RUBY
      run ->(env) { [Integer(env["PATH_INFO"][1..]), {}, env["REQUEST_METHOD"] == "HEAD" ? [] : ["x" * env["QUERY_STRING"].to_i]] }
    RUBY
    serve(app) do |port|
      expected_bodies = { "GET /204" => "", "GET /304" => "", "HEAD /200" => "", "GET /200?3" => "xxx" }
      expected_bodies.each do |line, expected|
        answer = exchange(port, "#{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        expect(parts_of(answer).last.to_s).to eq(expected), line
        expect(answer).not_to match(/content-length/i) unless expected == "xxx"
      end
    end
  end

  it "say how long a body would be" do
    serve('run ->(_) { [200, {"content-length" => "12345"}, []] }') do |port|
      head, body = parts_of(exchange(port, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
      expect([head[/^Content-Length: .*$/], body.to_s]).to eq(["Content-Length: 12345", ""])
    end
  end

  describe "of bodies with each" do
    app = <<~RUBY
      class Body
        def initialize(*parts) = @parts = parts
        def each(&) = @parts.each(&)
        def close = $stderr.puts("closed")
      end
    RUBY

    it "come in chunks, and the body is closed" do
      serve("#{app}run ->(_) { [200, {}, Body.new('one', '', 'two')] }") do |port, program|
        head, body = parts_of(exchange(port, get("/")))
        expect(head).to include("Transfer-Encoding: chunked")
        expect(body).to eq("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        expect(program.stderr).to eq("closed\n")
      end
    end

    it "end with the connection in HTTP/1.0" do
      serve("#{app}run ->(_) { [200, {}, Body.new('one', 'two')] }") do |port|
        head, body = parts_of(exchange(port, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"))
        expect([head[/^Connection: .*$/], head[/chunked/], body]).to eq(["Connection: close", nil, "onetwo"])
      end
    end

    it "have a length if the application says it" do
      serve("#{app}run ->(_) { [200, {'content-length' => '6'}, Body.new('one', 'two')] }") do |port|
        answers = exchange(port, get("/", connection: "keep-alive") + get("/"))
        expect(answers.scan("Content-Length: 6\r\n").size).to eq(2)
        expect(answers.scan(/^onetwo/).size).to eq(2)
      end
    end

    it "are cut off where the length is wrong, and close the connection" do
      ["onetwothree", "one"].each do |text|
        config = "#{app}run ->(_) { [200, {'content-length' => '6'}, Body.new('#{text}')] }"
        serve(config, lint: false) do |port, program|
          body = parts_of(exchange(port, get("/", connection: "keep-alive") * 2)).last
          expect(body).to eq(text == "one" ? "one" : "")
          expect(program.stderr).to match(/than its length/)
        end
      end
    end
  end

  it "of files have their bytes" do
    serve("run Rack::Files.new(#{__dir__.dump})") do |port|
      head, body = parts_of(exchange(port, get("/response_spec.rb")))
      expect(body.b).to eq(File.binread(__FILE__))
      expect(head).to include("Content-Length: #{File.size(__FILE__)}")
      expect(exchange(port, get("/none"))).to start_with("HTTP/1.1 404")
    end
  end

  it "go through middleware" do
    serve(<<~RUBY) do |port, program|
      use Rack::CommonLogger
      use Rack::Deflater
      use Rack::ContentLength
      use Rack::ETag
      run ->(_) { [200, {"content-type" => "text/plain"}, ["much " * 1000]] }
    RUBY
      answer = curl("--compressed", "-i", "http://127.0.0.1:#{port}/log")
      expect(answer).to match(/gzip.*\r\n\r\n(much ){1000}\z/m)
      program.wait(0.1)
      expect(program.stderr).to match(%r{127\.0\.0\.1 .*"GET /log HTTP/1\.1" 200})
    end
  end

  describe "of applications that fail" do
    it "are 500 and the connection goes on" do
      app = 'run ->(env) { raise "oh dear" if env["PATH_INFO"] == "/bad"; [200, {}, ["fine"]] }'
      serve(app) do |port, program|
        answers = exchange(port, get("/bad", connection: "keep-alive") + get("/"))
        expect(answers.scan(/^HTTP.*\r/)).to eq(["HTTP/1.1 500 Internal Server Error\r", "HTTP/1.1 200 OK\r"])
        expect(program.stderr).to match(/config\.ru:\d+:in .*oh dear \(RuntimeError\)/)
      end
    end

    {
      "no response" => "nil", "a bad header" => '[200, {"x" => "a\r\nb: c"}, []]',
      "a bad name" => '[200, {"x y" => "a"}, []]', "a bad status" => '["OK", {}, []]',
      "a bad body" => "[200, {}, [5]]", "no body" => "[200, {}, nil]",
      "an error that is no StandardError" => "fail(NotImplementedError)"
    }.each do |name, answer|
      it "are 500 for #{name}" do
        serve("run ->(_) { #{answer} }", lint: false) do |port, program|
          expect(exchange(port, get("/"))).to match(/\AHTTP.1.1 500 .*\r\n\r\nInternal Server Error\n\z/m)
          expect(program.stderr).to match(/Error/)
        end
      end
    end

    it "end with the connection where a part was sent" do
      app = 'run ->(_) { [200, {}, Enumerator.new { |parts| parts << "one"; raise "half" }] }'
      serve(app) do |port, program|
        answer = exchange(port, get("/", connection: "keep-alive") * 2)
        expect(parts_of(answer).last).to eq("3\r\none\r\n")
        expect(program.stderr).to include("half")
      end
    end
  end

  it "are followed by rack.response_finished, the last hook first" do
    serve(<<~RUBY) do |port, program|
      run lambda { |env|
        2.times do |number|
          env["rack.response_finished"] << lambda do |env, status, headers, error|
            warn [number, env["PATH_INFO"], status, headers.class, error&.message].inspect
          end
        end
        raise "bad" if env["PATH_INFO"] == "/bad"
        [200, {}, []]
      }
    RUBY
      exchange(port, get("/good"))
      exchange(port, get("/bad"))
      expect(program.stderr.lines.grep(/^\[/).map(&:chomp)).to eq(
        ['[1, "/good", 200, Hash, nil]', '[0, "/good", 200, Hash, nil]',
         '[1, "/bad", 500, Hash, "bad"]', '[0, "/bad", 500, Hash, "bad"]']
      )
    end
  end

  it "refuse what is no request, and say so" do
    serve("run ->(_) { [200, {}, []] }") do |port|
      { "nonsense\r\n\r\n" => 400,
        "GET / HTTP/1.1\r\n\r\n" => 400, "GET / HTTP/3.0\r\nHost: a\r\n\r\n" => 505,
        "GET /#{"x" * 70_000} HTTP/1.1\r\n" => 414,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" => 400 }
        .each do |request, status|
        expect(exchange(port, request)).to start_with("HTTP/1.1 #{status} "), request[..50]
      end
    end
  end
end
