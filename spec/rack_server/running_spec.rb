# frozen_string_literal: true

require "stringio"
require "uringmachine/rack_server"
require_relative "../support/rack_servers"

RSpec.describe "UM::RackServer: running" do
  sleepy = 'run ->(env) { sleep env["QUERY_STRING"].to_f; [200, {}, ["done"]] }'

  it "serves requests while others wait" do
    serve(<<~RUBY) do |port|
      open = most = 0
      run lambda { |env|
        next [200, {}, [most.to_s]] if env["PATH_INFO"] == "/most"

        most = [most, open += 1].max
        sleep 0.1
        open -= 1
        [200, {}, ["done"]]
      }
    RUBY
      answers = Array.new(100) { Thread.new { exchange(port, get("/")) } }.map(&:value)
      expect(answers).to all(end_with("\r\n\r\ndone"))
      expect(parts_of(exchange(port, get("/most"))).last.to_i).to be > 10
    end
  end

  it "serves applications that ask other servers by Net::HTTP" do
    serve(<<~RUBY) do |port|
      require "net/http"
      run lambda { |env|
        next [200, {}, ["inner"]] if env["PATH_INFO"] == "/inner"

        [200, {}, [Net::HTTP.get(URI("http://127.0.0.1:\#{env["QUERY_STRING"]}/inner"))]]
      }
    RUBY
      answers = Array.new(10) { Thread.new { exchange(port, get("/?#{port}")) } }.map(&:value)
      expect(answers).to all(end_with("\r\n\r\ninner"))
    end
  end

  it "runs in any thread, and another one stops it" do
    servers = Queue.new
    app = lambda do |env|
      sleep 0.001
      [200, {}, Enumerator.new { |parts| parts << env["rack.input"].read << "!" }]
    end
    thread = Thread.new do
      server = UM::RackServer.new(app, port: 0, errors: StringIO.new)
      servers << server
      server.run
      server.settings.errors.string
    end
    server = servers.pop
    request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
    3.times { expect(exchange(server.port, request)).to end_with("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n") }
    server.stop
    expect(thread.value).to eq("")
  end

  %w[TERM INT].each do |signal|
    it "ends with SIG#{signal} once the requests under way have ended" do
      serve(sleepy) do |port, program|
        connect(port) do |idle|
          idle.write(get("/", connection: "keep-alive"))
          expect(idle.readpartial(1000)).to end_with("done")
          connect(port) do |busy|
            busy.write(get("/?0.3", connection: "keep-alive"))
            sleep 0.1
            program.kill(signal)
            expect(idle.read).to eq("")
            expect(busy.read).to match(/^connection: close\r\n.*\r\n\r\ndone\z/m)
          end
          expect(program.wait(5)).to be_success, program.report
          expect { connect(port, &:close) }.to raise_error(Errno::ECONNREFUSED)
        end
      end
    end
  end

  it "ends after the time of grace, whatever is under way" do
    app = <<~RUBY
      run lambda { |env|
        Fiber.schedule { loop { sleep 0.01 } }
        begin
          sleep
        ensure
          warn "ensured"
        end
      }
    RUBY
    serve(app, "--grace", 0.2) do |port, program|
      connect(port) do |socket|
        socket.write(get("/"))
        sleep 0.1
        program.kill(:TERM)
        expect(socket.read).to eq("")
      end
      expect(program.wait(5)).to be_success, program.report
      expect(program.stderr).to eq("ensured\n")
    end
  end

  describe "with clients that are slow" do
    it "closes what stays silent" do
      serve(sleepy, "--timeout", 0.2) do |port|
        connect(port) { |socket| expect(socket.read).to eq("") }
        expect(exchange(port, get("/", connection: "keep-alive"))).to end_with("done")
      end
    end

    it "refuses what doesn't come to its end" do
      serve('run ->(env) { [200, {}, [env["rack.input"].read]] }', "--timeout", 0.2) do |port|
        ["GET / HTTP", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc"].each do |request|
          expect(exchange(port, request)).to start_with("HTTP/1.1 408 "), request
        end
      end
    end

    it "gives those up that don't take what they are sent" do
      app = 'run ->(env) { env["rack.response_finished"] << ->(*, error) { warn error.class }; ' \
            '[200, {}, ["x" * 50_000_000]] }'
      serve(app, "--timeout", 0.3) do |port, program|
        connect(port) do |socket|
          socket.write(get("/"))
          sleep 0.05 until program.stderr.include?("\n")
          expect(program.stderr).to match(/\AErrno::(ETIMEDOUT|EPIPE)$/)
        end
      end
    end
  end

  it "goes on when it has run out of descriptors", time_limit: 60 do
    app = "Process.setrlimit(:NOFILE, 40)\nrun ->(_) { [200, {}, ['fine']] }"
    serve(app) do |port, program|
      sockets = Array.new(60) { TCPSocket.new("127.0.0.1", port) }
      program.wait(0.3)
      sockets.each(&:close)
      expect(exchange(port, get("/"))).to end_with("fine")
      expect(program.stderr).to include("EMFILE")
    end
  end
end
