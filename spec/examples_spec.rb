# frozen_string_literal: true

require "open3"
require_relative "support/redis_server"
require_relative "support/tcp_clients"

# Runs every program in examples/ the way its header says. The demonstration (examples/demo*) is
# run by bin/demo.
RSpec.describe "the examples" do
  include SpecSupport::TCPClients

  folder = File.expand_path("../examples", __dir__)
  names = Dir.children(folder).grep(/\.rb\z/) - ["demo.rb"]

  define_method(:source_of) { |name| File.read(File.join(folder, name)) }

  # Starts a server that says on its first line which port it got, and yields that.
  def serve(name, *arguments)
    spawn_ruby(source_of(name), *arguments) do |program|
      yield Integer(program.stdout[/port (\d+)/, 1]), program
    end
  end

  def answer_of(port, question = "")
    TCPSocket.open("127.0.0.1", port) do |socket|
      socket.write(question)
      socket.close_write
      socket.read
    end
  end

  def curl(...)
    output, errors, status = Open3.capture3("curl", "--silent", "--show-error", "--max-time", "10", ...)
    expect(status).to be_success, errors
    output.b
  end

  # Runs an example that works on its input: what it writes, its errors and its status.
  define_method(:run_filter) do |(name, *arguments), input|
    command = [RbConfig.ruby, "-I", File.expand_path("../lib", folder), File.join(folder, name), *arguments]
    Open3.capture3(*command, stdin_data: input, binmode: true)
  end

  def through_filter(command, input)
    output, errors, status = run_filter(command, input)
    expect(status).to be_success, errors
    output
  end

  def file_of(bytes)
    @folder ||= Dir.mktmpdir("polyphony-spec")
    File.join(@folder, "file").tap { |path| File.binwrite(path, bytes) }
  end

  after { FileUtils.remove_entry(@folder) if @folder }

  def expect_echo(port, program)
    expect(wrong_echoes(port, clients: 20, bytes: 100_000)).to eq([]), program.report
    expect(answer_of(port, "hello\n")).to eq("hello\n"), program.report
  end

  drivers = {
    "echo_server.rb" => lambda do
      serve("echo_server.rb", 0) do |port, program|
        expect_echo(port, program)
        expect(netcat(port, "hello\n")).to eq("hello\n")
        program.wait_for_line(/^6 bytes echoed/)
      end
    end,

    "machine_echo.rb" => lambda do
      serve("machine_echo.rb", 0) do |port, program|
        expect_echo(port, program)
        program.kill(:INT)
        expect(program.wait(5)).to be_success, program.report
        expect(program.stdout).to include("total_ops"), program.report
      end
    end,

    "http_server.rb" => lambda do
      serve("http_server.rb", 0) do |port, program|
        url = "http://127.0.0.1:#{port}"
        sent = file_of(random_bytes(300_000, 2))
        hellos = curl("#{url}/", "#{url}/?again", "-w", "%{num_connects}")
        expect(hellos).to eq("hello\n1hello\n0"), program.report
        echoed = curl("#{url}/echo", "--data-binary", "@#{sent}")
        expect(echoed == File.binread(sent)).to be(true), program.report
        expect(curl("#{url}/count")).to eq("1\n2\n3\n4\n5\n"), program.report
        expect(curl("#{url}/x", "-w", "%{http_code}")).to eq("there is no /x\n404"), program.report
        program.kill(:INT)
        expect(program.wait(5)).to be_success, program.report
        expect(program.stdout).to match(/^\d+ operations/), program.report
      end
    end,

    "rack_server.rb" => lambda do
      serve("rack_server.rb", File.join(folder, "rack/config.ru"), "--port", 0) do |port, program|
        url = "http://127.0.0.1:#{port}"
        sent = file_of(random_bytes(300_000, 3))
        expect(curl("#{url}/hello")).to eq("hello\n"), program.report
        echoed = curl("#{url}/echo", "--data-binary", "@#{sent}")
        expect(echoed == File.binread(sent)).to be(true), program.report
        expect(curl("#{url}/stream").lines.size).to eq(5), program.report
        expect(curl("#{url}/events")).to match(/\A(id: \d\ndata: it is .*\n\n){3}\z/), program.report
        expect(curl("#{url}/hijack")).to eq("this is TCPSocket\n"), program.report
        upgrade = "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
        expect(answer_of(port, "#{upgrade}abc")).to end_with("\r\n\r\nABC"), program.report
        expect(curl("#{url}/x", "-w", "%{http_code}")).to eq("you asked for /x\n404"), program.report
        program.kill(:INT)
        expect(program.wait(5)).to be_success, program.report
      end
    end,

    "tcp_proxy.rb" => lambda do
      with_server(method(:large_answer)) do |destination|
        serve("tcp_proxy.rb", 0, "127.0.0.1:#{destination}") do |port, program|
          answer = answer_of(port, "request")
          expected = "request".b + random_bytes(SpecSupport::TCPClients::LARGE, 7)
          expect(answer == expected).to be(true), program.report
          program.wait_for_line(/^7 bytes there, #{expected.bytesize} bytes back/)
        end
      end
    end,

    "redis_client.rb" => lambda do
      SpecSupport::RedisServer.run do |server|
        outcome = ruby_program(source_of("redis_client.rb"), server.port, timeout: 20)
        expect(outcome).to be_success, outcome.to_s
        user = { "name" => "Ada", "language" => "Ruby" }
        expect(outcome.stdout).to eq(<<~TEXT)
          visits: 3
          user: #{user}
          refused: WRONGTYPE Operation against a key holding the wrong kind of value
          10,000 commands in one go: 4 to 10003
          messages: one, two, three
        TEXT
      end
    end,

    "send_file.rb" => lambda do
      Dir.mktmpdir do |temporary|
        path = File.join(temporary, "file")
        File.binwrite(path, random_bytes(1_000_000, 1))
        %w[loop fibers double_splice].each do |way|
          serve("send_file.rb", 0, path, way) do |port, program|
            answers = Array.new(5) { Thread.new { answer_of(port) } }.map(&:value)
            expect(answers.all?(File.binread(path))).to be(true), "#{way}: #{program.report}"
          end
        end
      end
    end,

    "copy.rb" => lambda do
      Dir.mktmpdir do |temporary|
        source, target = %w[source target].map { |name| File.join(temporary, name) }
        File.binwrite(source, random_bytes(1_000_000, 1))
        outcome = ruby_program(source_of("copy.rb"), source, target)
        expect(outcome.stdout).to eq("1000000 bytes copied\n"), outcome.to_s
        expect(File.binread(target) == File.binread(source)).to be(true)
      end
    end,

    "echo_ways.rb" => lambda do
      %w[read_write pipe_ends pipe double_splice].each do |way|
        serve("echo_ways.rb", 0, way) do |port, program|
          expect_echo(port, program)
          expect(netcat(port, "hello\n")).to eq("hello\n"), "#{way}: #{program.report}"
        end
      end
    end,

    "proxy_ways.rb" => lambda do
      with_server(method(:large_answer)) do |destination|
        %w[pipe_ends pipes double_splice].each do |way|
          serve("proxy_ways.rb", 0, "127.0.0.1:#{destination}", way) do |port, program|
            expected = "request".b + random_bytes(SpecSupport::TCPClients::LARGE, 7)
            expect(answer_of(port, "request") == expected).to be(true), "#{way}: #{program.report}"
            expect(netcat(port, "request").b == expected).to be(true), "#{way}: #{program.report}"
          end
        end
      end
    end,

    "parse_stream.rb" => lambda do
      %w[while read_loop recv_loop feed_loop].each do |way|
        serve("parse_stream.rb", 0, way) do |port, program|
          report = "#{way}: #{program.report}"
          expect(netcat(port, "5:hello,6:world!,")).to eq(%(got "hello"\ngot "world!"\n)), report
          long = "x" * 100_000
          expect(answer_of(port, "100000:#{long},0:,")).to eq(%(got "#{long}"\ngot ""\n)), report
        end
      end
    end,

    "serve_gzipped.rb" => lambda do
      Dir.mktmpdir do |temporary|
        path = File.join(temporary, "file")
        File.binwrite(path, random_bytes(500_000, 1) * 3)
        %w[string writer].each do |way|
          serve("serve_gzipped.rb", 0, path, way) do |port, program|
            text, = Open3.capture2("nc 127.0.0.1 #{port} </dev/null | gunzip", binmode: true)
            expect(text == File.binread(path)).to be(true), "#{way}: #{program.report}"
          end
        end
      end
    end,

    "gzip.rb" => lambda do
      data = random_bytes(500_000, 4) * 2
      [data, "", "foobar\n"].each do |input|
        compressed = through_filter(%w[gzip.rb name], input)
        expect(Open3.capture2("gunzip", stdin_data: compressed, binmode: true).first == input.b).to be(true)
      end
    end,

    "gunzip.rb" => lambda do
      data = random_bytes(500_000, 5) * 2
      compressed, = Open3.capture2("gzip", stdin_data: data, binmode: true)
      expect(through_filter(%w[gunzip.rb], compressed) == data).to be(true)
      _, errors, status = run_filter(%w[gunzip.rb], compressed.byteslice(0, 1000))
      expect([errors, status.exitstatus]).to match([/\Agunzip.rb: unexpected end of file/, 1])
    end,

    "gzip_http_server.rb" => lambda do
      Dir.mktmpdir do |temporary|
        File.binwrite(File.join(temporary, "large"), random_bytes(1_000_000, 6))
        File.write(File.join(temporary, "text"), "foobar\n" * 100_000)
        File.write(File.join(temporary, "empty"), "")
        serve("gzip_http_server.rb", 0, temporary) do |port, program|
          %w[large text empty].each do |name|
            got = curl("--compressed", "http://127.0.0.1:#{port}/#{name}")
            expect(got == File.binread(File.join(temporary, name))).to be(true), program.report
          end
          status = ["-w", "%{http_code}", "--path-as-is"]
          expect(curl(*status, "http://127.0.0.1:#{port}/missing")).to eq("404"), program.report
          expect(curl(*status, "http://127.0.0.1:#{port}/../etc/passwd")).to eq("404"), program.report
          size = curl("-w", "%{size_download}", "-o", "/dev/null", "http://127.0.0.1:#{port}/text").to_i
          expect(size).to be_between(1, 10_000), program.report
        end
      end
    end,

    "static_files.rb" => lambda do
      Dir.mktmpdir do |temporary|
        File.binwrite(File.join(temporary, "large"), random_bytes(1_000_000, 1))
        File.write(File.join(temporary, "empty"), "")
        %w[strings splice].each do |way|
          serve("static_files.rb", 0, temporary, way) do |port, program|
            get = lambda do |path|
              Open3.capture2("curl", "-s", "-w", "%{http_code}", "--path-as-is", "http://127.0.0.1:#{port}#{path}",
                             binmode: true).first
            end
            large = File.binread(File.join(temporary, "large"))
            expect(get["/large"] == "#{large}200".b).to be(true), "#{way}: #{program.report}"
            paths = %w[/empty /missing / /../../etc/passwd]
            expect(paths.map(&get)).to eq(%w[200 404 404 404]), program.report
          end
        end
      end
    end,

    "splice_process_output.rb" => lambda do
      serve("splice_process_output.rb", 0, "head", "-c", "1000000", "/dev/zero") do |port, program|
        answers = Array.new(3) { Thread.new { answer_of(port) } }.map(&:value)
        expect(answers.all? { |answer| answer == "\0" * 1_000_000 }).to be(true), program.report
        program.wait_for_line(/^1000000 bytes sent/)
      end
    end,

    "chat_server.rb" => lambda do
      serve("chat_server.rb", 0) do |port, program|
        ada, grace, other = Array.new(3) { TCPSocket.new("127.0.0.1", port) }
        ada.puts "Ada"
        grace.puts "Grace"
        first, = IO.select([ada, grace]).first
        expect(first.gets).to eq(first == ada ? "Grace has come\n" : "Ada has come\n"), program.report
        other.puts "Ada"
        expect(other.read).to eq(""), program.report
        200.times { |number| ada.puts "line #{number}" }
        expect(Array.new(200) { grace.gets }).to eq(Array.new(200) { |number| "Ada: line #{number}\n" })
        grace.close
        expect(ada.gets).to eq("Grace has left\n"), program.report
        [ada, other].each(&:close)
        expect(program.stderr).to eq("Ada: Ada is taken\n")
      end
    end,

    "crawler.rb" => lambda do
      # A page links to what stands behind its slash; /b never answers.
      answer = lambda do |client|
        path = client.gets.to_s.split[1]
        links = { "/" => %w[a b c], "/a" => %w[c d /], "/c" => %w[http://127.0.0.1:1/ none] }.fetch(path, [])
        client.read if path == "/b"
        body = links.map { |link| %(<a href="#{link}">) }.join
        status = path == "/none" ? 404 : 200
        client.write("HTTP/1.1 #{status} -\r\nContent-Length: #{body.size}\r\n\r\n#{body}")
      end
      with_server(answer) do |port|
        outcome = ruby_program(source_of("crawler.rb"), "http://127.0.0.1:#{port}/", "0.5")
        expect(outcome.stdout).to eq(<<~TEXT), outcome.to_s
          time is up
          /: 200
          /a: 200
          /b: not finished
          /c: 200
          /d: 200
          /none: 404
          6 pages
        TEXT
        outcome = ruby_program(source_of("crawler.rb"), "http://127.0.0.1:#{port}/a", "60", timeout: 20)
        expect(outcome.stdout).to include("/b: Net::ReadTimeout\n", "6 pages\n"), outcome.to_s
        expect(outcome.stdout).not_to include("time is up")
      end
    end,

    "preforked.rb" => lambda do
      pid_of = ->(port) { answer_of(port, "hello\n")[/\Aprocess (\d+)\nhello\n\z/, 1].to_i }
      serve("preforked.rb", 0, 3) do |port, program|
        pids = Array.new(30) { pid_of[port] }.uniq
        Process.kill(:KILL, pids.first)
        sleep 0.01 until program.stderr.include?("another one takes its place")
        later = Array.new(30) { pid_of[port] }.uniq
        expect(later).not_to include(pids.first)
        program.kill(:INT)
        expect(program.wait(10)).to be_success, program.report
        expect((pids + later).uniq.select { |pid| File.exist?("/proc/#{pid}") }).to eq([])
      end
    end,

    "concurrent_http.rb" => lambda do
      outcome = ruby_program(source_of("concurrent_http.rb"), timeout: 20)
      expect(outcome).to be_success, outcome.to_s
      expect(outcome.stdout.lines.grep(/: 200, \d+ bytes$/).size).to eq(10), outcome.to_s
      expect(outcome.stdout[/worked on (\d+) at once/, 1].to_i).to be > 1
    end
  }

  names.sort.each do |name|
    it "#{name} does what it says", time_limit: 60 do
      driver = drivers.fetch(name) { raise "nobody knows how to run #{name}: add a driver to #{__FILE__}" }
      instance_exec(&driver)
    end
  end

  it "are all there" do
    expect(drivers.keys - names).to eq([])
  end

  names.each do |name|
    it "#{name} tells how to try it" do
      expect(source_of(name)).to match(%r{^#   bin/ruby examples/#{name}})
    end
  end
end
