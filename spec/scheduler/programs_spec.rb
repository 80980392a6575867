# frozen_string_literal: true

require "digest"
require "net/http"
require "socket"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: programs" do
  let(:server) { TCPServer.new("127.0.0.1", 0) }
  let(:port) { server.local_address.ip_port }

  before { port }
  after { server.close }

  # Reads one request's head from a connection; the body too, where its length is given.
  def read_request(peer)
    head = +""
    while (line = peer.gets)
      break if line == "\r\n"

      head << line
    end
    length = head[/^content-length: (\d+)/i, 1].to_i
    [head, peer.read(length)]
  end

  def respond(peer, body) = peer.write("HTTP/1.1 200 OK\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")

  describe "Net::HTTP" do
    it "has 50 requests open at a time" do
      open = 0
      serve = lambda do |peer|
        head, = read_request(peer)
        open += 1
        sleep(0.001) until open == 50 # answered when all of them have come
        respond(peer, head[/GET (\S+)/, 1])
        peer.close
      end
      accepting = -> { 50.times { server.accept.then { |peer| Fiber.schedule { serve.call(peer) } } } }
      fetching = Array.new(50) { |number| -> { Net::HTTP.get("127.0.0.1", "/#{number}", port) } }
      _, *bodies = in_fibers(accepting, *fetching)
      expect(bodies).to eq((0...50).map { |number| "/#{number}" })
    end

    it "keeps connections alive, and posts" do
      accepting = lambda do
        peer = server.accept
        3.times { read_request(peer).last.then { |body| respond(peer, body.reverse) } }
        peer.close
      end
      posting = lambda do
        Net::HTTP.start("127.0.0.1", port) do |http|
          %w[abc def ghi].map { |text| http.post("/", text).body }
        end
      end
      expect(in_fibers(posting, accepting).first).to eq(%w[cba fed ihg])
    end

    it "times out while it reads, and while it connects" do
      listening = Socket.new(:INET, :STREAM).tap { |socket| socket.bind(Addrinfo.tcp("127.0.0.1", 0)) }
      listening.listen(0)
      results = in_fiber do
        http = Net::HTTP.new("127.0.0.1", listening.local_address.ip_port)
        http.read_timeout = 0.01
        http.max_retries = 0
        error_of { http.get("/") }
      end
      listening.close
      expect(results).to be_a(Net::ReadTimeout)
    end

    it "gets a big body" do
      body = Random.bytes(3_000_000)
      accepting = lambda do
        peer = server.accept
        read_request(peer)
        respond(peer, body)
        peer.close
      end
      _, received = in_fibers(accepting, -> { Net::HTTP.get("127.0.0.1", "/", port) })
      expect(Digest::SHA256.digest(received)).to eq(Digest::SHA256.digest(body))
    end
  end

  it "runs an echo server and its clients" do
    serve = lambda do
      20.times do
        peer = server.accept
        Fiber.schedule do
          while (line = peer.gets)
            peer.write(line)
          end
          peer.close
        end
      end
    end
    clients = Array.new(20) do |number|
      lambda do
        client = TCPSocket.new("127.0.0.1", port)
        lines = Array.new(20) { |round| client.puts("#{number} #{round}") || client.gets }
        client.close
        lines.map(&:chomp) == (0...20).map { |round| "#{number} #{round}" }
      end
    end
    _, *correct = in_fibers(serve, *clients)
    expect(correct).to eq([true] * 20)
  end

  it "runs a chain of pipes" do
    pipes = Array.new(20) { IO.pipe }
    stages = pipes.each_cons(2).map do |(reader, _), (_, writer)|
      lambda do
        while (line = reader.gets)
          writer.puts(line.to_i + 1)
        end
        writer.close
      end
    end
    feed = lambda do
      100.times { |number| pipes.first.last.puts(number) }
      pipes.first.last.close
    end
    *_, numbers = in_fibers(feed, *stages, -> { pipes.last.first.each_line.map(&:to_i) })
    pipes.each { |pair| pair.first.close }
    expect(numbers).to eq((19...119).to_a)
  end

  it "runs the first program of the documentation" do
    outcome = ruby_program(<<~'RUBY')
      require "uringmachine"
      require "socket"

      Fiber.set_scheduler(UM::FiberScheduler.new)
      server = TCPServer.new("127.0.0.1", 0)
      Fiber.schedule { server.accept.then { |peer| peer.puts("hello"); peer.close } }
      Fiber.schedule { puts TCPSocket.new("127.0.0.1", server.local_address.ip_port).gets }
    RUBY
    expect([outcome.stdout, outcome.stderr, outcome.status.exitstatus]).to eq(["hello\n", "", 0])
  end

  it "says nothing of IO::Buffers that the program knows nothing of, and leaves other warnings alone" do
    outcome = ruby_program(<<~'RUBY')
      require "uringmachine"
      Fiber.set_scheduler(UM::FiberScheduler.new)
      Fiber.schedule do
        reader, writer = IO.pipe
        writer.write("read")
        puts reader.readpartial(10)
        File.open(__FILE__) { |file| file.pread(1, 0) }
      end
      Fiber.schedule do
        reader, writer = UM.pipe
        Fiber.scheduler.machine.write(writer, "each")
        Fiber.scheduler.machine.close(writer)
        Fiber.scheduler.machine.io(reader).read_each { |buffer| puts buffer.get_string }
      end
      Fiber.scheduler.run
      puts Warning[:experimental]
      warn("still there", category: :experimental)
    RUBY
    expect(outcome.stdout.lines.map(&:chomp)).to contain_exactly("read", "each", "true")
    expect([outcome.stderr, outcome.status.exitstatus]).to eq(["still there\n", 0])
  end
end
