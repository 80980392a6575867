# frozen_string_literal: true

require_relative "../support/http_peers"

# Heads of requests, as UM::IO reads them.
RSpec.describe UM::IO, "#http_read_request_headers" do
  include SpecSupport::MachineHelpers
  include SpecSupport::HTTPPeers

  let(:stop) { SpecSupport::MachineHelpers::Stop }

  it "gives a Hash of the request line and the headers", :gc do
    send_lines("GET /a?b=%20c HTTP/1.1\nHost: example.com:80\nX-Own:  two words \t\nAccept:\n\n")
    expect(read_head).to eq(
      ":method" => "GET", ":path" => "/a?b=%20c", ":protocol" => "HTTP/1.1",
      "host" => "example.com:80", "x-own" => "two words", "accept" => ""
    )
    expect(io.pending).to eq(0)
  end

  it "has keys that are frozen, each name one object" do
    send_request("GET / HTTP/1.1", "USER-Agent: x", "X-Rare: y", "#{"x-Long-" * 20}: z")
    keys = read_head.keys
    expect(keys).to eq(%W[:method :path :protocol host user-agent x-rare #{"x-long-" * 20}])
    expect(keys).to all(be_frozen)
    expect(keys[4]).to equal("user-agent")
    expect(keys[5]).to equal("x-rare")
  end

  it "gives values in UTF-8 where they are, else binary" do
    send_request("GET /\u00fc HTTP/1.1", "A: \u00fc", "B: \xff")
    head = read_head
    expect(head.values_at(":path", "a")).to eq(%W[/\u00fc \u00fc])
    expect(head["b"]).to eq("\xff".b)
    expect(head["b"].encoding).to eq(Encoding::BINARY)
  end

  it "joins headers that come several times" do
    send_request("GET / HTTP/1.1", "Accept: a", "Cookie: a=1", "ACCEPT: b, c", "X-Z: 1", "cookie: b=2",
                 "accept: \u00fc")
    expect(read_head.slice("accept", "cookie", "x-z")).to eq(
      "accept" => "a, b, c, \u00fc", "cookie" => "a=1; b=2", "x-z" => "1"
    )
  end

  it "knows other methods and HTTP/1.0" do
    send_lines("BREW /pot HTTP/1.0\n\n")
    expect(read_head).to eq(":method" => "BREW", ":path" => "/pot", ":protocol" => "HTTP/1.0")
  end

  it "is nil where the peer ends before a request" do
    hang_up
    expect(read_head).to be_nil
    expect(read_head).to be_nil
  end

  it "is nil where nothing but empty lines comes before the end" do
    send_lines("\n\n")
    hang_up
    expect(read_head).to be_nil
  end

  it "reads requests that came together one by one" do
    send_lines("GET /1 HTTP/1.1\nHost: a\n\n\nGET /2 HTTP/1.1\nHost: a\n\n")
    send_lines("GET /3 HTTP/1.0\n\nGET /4 HTTP/1.0\n\n")
    expect(Array.new(4) { read_head&.fetch(":path") }).to eq(["/1", "/2", "/3", nil])
  end

  it "reads a head that comes byte by byte" do
    request = "GET /slow HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
    fiber = machine.spin { io.http_read_request_headers }
    request.each_char do |char|
      expect(fiber).not_to be_done
      send_raw(char)
      snooze
    end
    expect(machine.join(fiber)).to include(":path" => "/slow", "x" => "y")
  end

  it "reads a head that is spread over many buffers" do
    fiber = machine.spin { io.http_read_request_headers(max_size: 200_000) }
    headers = Array.new(90) { |number| "X-#{number}: #{number.to_s * 700}" }
    send_raw("GET / HTTP/1.1\r\nHost: a\r\n")
    headers.each do |header|
      send_raw("#{header}\r\n")
      snooze(1)
    end
    send_raw("\r\n")
    head = machine.join(fiber)
    expect(head.size).to eq(94)
    expect(head["x-89"]).to eq("89" * 700)
  end

  it "loses nothing when it is interrupted" do
    send_raw("GET /late HTTP/1.1\r\nHost")
    timed_out = error_of { machine.timeout(0.01, stop) { io.http_read_request_headers } }
    expect(timed_out).to be_a(stop)
    expect(io.http_keep_alive?).to be(true)
    send_raw(": a\r\n\r\n")
    expect(read_head).to include(":path" => "/late", "host" => "a")
  end

  it "can be interrupted from another fiber, and gives what it is scheduled with" do
    reading = parked { error_of { io.http_read_request_headers } }
    machine.schedule(reading, stop.new)
    expect(machine.join(reading)).to be_a(stop)
    reading = parked { io.http_read_request_headers }
    machine.schedule(reading, :value)
    expect(machine.join(reading)).to eq(:value)
    send_request
    expect(read_head).to include(":path" => "/")
  end

  it "waits in line behind another reader" do
    reading = parked { io.read_line }
    heading = parked { io.http_read_request_headers }
    send_raw("a line\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    expect(machine.join(reading)).to eq("a line")
    expect(machine.join(heading)).to include("host" => "a")
  end

  describe "refuses" do
    {
      "a bare line feed" => ["GET / HTTP/1.1\nHost: a\r\n\r\n", 400],
      "a malformed request line" => ["GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
      "a malformed header" => ["GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400],
      "a request without a host" => ["GET / HTTP/1.1\r\n\r\n", 400],
      "two lengths" => ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400],
      "a length and chunks" =>
        ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
      "a coding that nobody knows" =>
        ["POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501],
      "a version that is not spoken" => ["GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
      "a target that is too long" => ["GET /#{"x" * 65_536}", 414],
      "headers that are too long" => ["GET / HTTP/1.1\r\nX: #{"x" * 65_536}", 431],
      "too many headers" => ["GET / HTTP/1.1\r\nHost: a\r\n#{"a: b\r\n" * 100}\r\n", 431]
    }.each do |title, (bytes, status)|
      it "#{title} with #{status}" do
        sending = Thread.new { send_raw(bytes) }
        expect(refusal { read_head }).to match([status, /./])
        sending.join
        expect([io.http_keep_alive?, read_head]).to eq([false, nil])
      end
    end

    it "a head that is cut off with 400" do
      send_raw("GET / HTTP/1.1\r\nHost: a\r\n")
      hang_up
      expect(refusal { read_head }).to eq([400, "the request is cut off"])
      expect(read_head).to be_nil
    end

    it "what is beyond the limits of the caller" do
      request = "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"
      send_raw(request)
      expect(refusal { read_head(max_size: request.size - 1) }).to match([431, "headers too large"])
      other = open_io(*socketpair)
      send_raw(request)
      expect(refusal { other.http_read_request_headers(max_headers: 1) }).to match([431, "too many headers"])
    end

    it "with an error that is a UM::Error" do
      expect(UM::IO::HTTPError.ancestors).to include(UM::Error)
      expect(UM::IO::HTTPError.new.status).to eq(400)
      expect(UM::IO::HTTPError.new("gone", 410)).to have_attributes(status: 410, message: "gone")
    end
  end

  it "takes as many headers as it is told" do
    send_request("GET / HTTP/1.1", *Array.new(500) { |number| "X-#{number}: y" })
    expect(read_head(max_headers: 501).size).to eq(504)
  end

  it "refuses bad arguments" do
    bad = [{ max_size: 0 }, { max_size: -1 }, { max_headers: 0 }, { max_headers: 10_001 }, { max: 1 }]
    bad.each do |options|
      expect { io.http_read_request_headers(**options) }.to raise_error(ArgumentError)
    end
    expect { io.http_read_request_headers(max_size: "1") }.to raise_error(TypeError)
    expect { io.http_read_request_headers({}) }.to raise_error(ArgumentError)
  end

  it "begins anew after clear" do
    send_raw("GARBAGE\n")
    expect(refusal { read_head }).to match([400, /./])
    io.clear
    send_request("GET /new HTTP/1.1")
    expect(read_head).to include(":path" => "/new")
  end

  it "reads from pipes and with read(2)" do
    reader, writer = pipe
    machine.write(writer, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    expect(open_io(reader, writer, :fd).http_read_request_headers).to include("host" => "a")
  end

  it "leaves room for methods of the program's own" do
    klass = Class.new(described_class) do
      def http_read_request_headers = super&.merge("own" => "yes")
    end
    own = open_io(*ends, klass:)
    send_request
    expect(soon { own.http_read_request_headers }).to include("own" => "yes")
  end
end
