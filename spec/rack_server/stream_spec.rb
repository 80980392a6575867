# frozen_string_literal: true

require_relative "../support/rack_servers"

RSpec.describe "UM::RackServer: streams" do
  it "are sent as they are written" do
    serve(<<~RUBY) do |port|
      run ->(env) {
        [200, {}, lambda { |stream|
          stream << "first"
          stream.write(stream.read, "!")
          stream.flush
          stream.close
        }]
      }
    RUBY
      connect(port) do |socket|
        socket.write("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\n")
        # The body is sent once the response has begun.
        expect(socket.readpartial(1000)).to end_with("\r\n\r\n5\r\nfirst\r\n").or end_with("\r\n\r\n")
        socket.write("body")
        expect(socket.read).to end_with("4\r\nbody\r\n1\r\n!\r\n0\r\n\r\n")
      end
    end
  end

  it "may be closed by another fiber, and the connection goes on" do
    serve(<<~RUBY) do |port, program|
      run ->(env) {
        [200, {}, lambda { |stream|
          Fiber.schedule do
            sleep 0.05
            stream << "later"
            stream.close
            warn [stream.closed?, (stream.write("x") rescue $!.class)].inspect
          end
        }]
      }
    RUBY
      answers = exchange(port, get("/", connection: "keep-alive") + get("/"))
      expect(answers.scan("5\r\nlater\r\n0\r\n\r\n").size).to eq(2)
      expect(program.stderr.lines).to all(eq("[true, IOError]\n"))
    end
  end

  it "are told of clients that are gone" do
    serve(<<~RUBY) do |port, program|
      run ->(env) {
        [200, {}, lambda do |stream|
          loop { stream << "x" * 1000; sleep 0.001 }
        rescue SystemCallError => e
          warn e.class
          stream.close
        end]
      }
    RUBY
      connect(port) { |socket| socket.write(get("/")) && socket.readpartial(2000) }
      sleep 0.01 until program.stderr.include?("\n")
      expect(program.stderr).to match(/\AErrno::(EPIPE|ECONNRESET)\n\z/)
      expect(program.wait(0)).to be_nil
    end
  end

  it "don't keep connections of clients that are gone, whoever closes them" do
    serve(<<~RUBY) do |port, program|
      run ->(env) {
        env["rack.response_finished"] << ->(*) { warn "finished" }
        [200, {}, lambda { |stream|
          Fiber.schedule do
            sleep 0.1
            begin
              10.times { stream << "x" }
            rescue SystemCallError
              nil
            end
            stream.close rescue nil
          end
        }]
      }
    RUBY
      socket = TCPSocket.new("127.0.0.1", port)
      socket.write(get("/"))
      socket.readpartial(1000) # the head
      socket.setsockopt(:SOCKET, :LINGER, [1, 0].pack("ii"))
      socket.close
      program.wait(0.01) until program.stderr.include?("finished")
      expect(exchange(port, get("/"))).to start_with("HTTP/1.1 200")
    end
  end

  it "have the connection itself after an upgrade" do
    serve(<<~RUBY) do |port|
      run ->(env) {
        [101, {"rack.protocol" => env["rack.protocol"].last}, lambda { |stream|
          stream.write(stream.read(3).upcase)
          stream.write(stream.read.upcase)
          stream.close
        }]
      }
    RUBY
      connect(port) do |socket|
        # What comes with the request isn't lost.
        socket.write(get("/", "Upgrade: a, b", connection: "upgrade"), "abcde")
        head = socket.readpartial(1000)
        expect(head).to match(%r{\AHTTP/1.1 101 .*connection: upgrade\r\nupgrade: b\r\n}m)
        socket.write("f")
        socket.close_write
        expect(parts_of(head + socket.read).last).to eq("ABCDEF")
      end
    end
  end

  it "are what a rack.hijack header gets" do
    app = 'run ->(_) { [200, {"rack.hijack" => ->(stream) { stream.write("mine"); stream.close }}, []] }'
    serve(app) do |port|
      head, body = parts_of(exchange(port, get("/")))
      expect([head.scan("hijack"), body]).to eq([[], "4\r\nmine\r\n0\r\n\r\n"])
    end
  end

  describe "of rack.hijack" do
    it "are sockets, with all that has come" do
      serve(<<~RUBY) do |port|
        run ->(env) {
          socket = env["rack.hijack"].call
          Fiber.schedule do
            socket.write("here \#{socket.class} ")
            socket.write(socket.gets.upcase) until socket.eof?
            socket.close
          end
          [500, {}, []]
        }
      RUBY
        20.times do
          connect(port) do |socket|
            socket.write("#{get("/")}first\nsec")
            socket.write("ond\nth")
            socket.write("ird\n")
            expect(socket.readpartial(1000)).to start_with("here TCPSocket ")
            socket.write("fourth\n")
            socket.close_write
            expect(socket.read).to end_with("FOURTH\n")
          end
        end
      end
    end

    it "lose nothing that comes while they are handed over" do
      serve(<<~RUBY) do |port|
        run ->(env) {
          socket = env["rack.hijack"].call
          Thread.new { socket.write(socket.read.sum.to_s); socket.close }
          [200, {}, []]
        }
      RUBY
        bytes = Random.new(2).bytes(1_000_000)
        10.times { expect(exchange_and_end(port, get("/") + bytes)).to eq(bytes.sum.to_s) }
      end
    end

    def exchange_and_end(port, bytes)
      connect(port) do |socket|
        socket.write(bytes)
        socket.close_write
        socket.read
      end
    end
  end
end
