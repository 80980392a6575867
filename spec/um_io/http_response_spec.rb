# frozen_string_literal: true

require_relative "../support/http_peers"
require_relative "../support/tls"

# Responses of a server on UM::IO.
RSpec.describe UM::IO, "HTTP responses" do
  include SpecSupport::MachineHelpers
  include SpecSupport::HTTPPeers
  include SpecSupport::TLS

  let(:stop) { SpecSupport::MachineHelpers::Stop }

  # Reads a request, so that there is something to answer.
  def ask(line = "GET / HTTP/1.1", *headers)
    io
    send_request(line, *headers)
    read_head
  end

  describe "#http_write_response" do
    before { ask }

    it "sends head and body" do
      headers = { "Content-Type" => "text/plain", "X-Own" => "a" }
      sent = io.http_write_response(200, headers, "hello")
      response = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Own: a\r\nContent-Length: 5\r\n\r\nhello"
      expect([received, sent]).to eq([response, response.bytesize])
      expect(io.http_keep_alive?).to be(true)
    end

    it "takes Symbols, Integers and several values" do
      io.http_write_response(299, { etag: "x", "Tag" => %w[a b], "Age" => 5, "Nothing" => nil, "None" => [] })
      expect(received).to eq(
        "HTTP/1.1 299 \r\netag: x\r\nTag: a\r\nTag: b\r\nAge: 5\r\nContent-Length: 0\r\n\r\n"
      )
    end

    it "takes the headers without braces" do
      io.http_write_response(200, "A" => "b")
      expect(received).to include("\r\nA: b\r\n")
    end

    it "counts the bytes of the body, whatever its encoding" do
      io.http_write_response(200, nil, "\u00fc")
      expect(received.b).to end_with("Content-Length: 2\r\n\r\n\xc3\xbc".b)
    end

    it "is one send for a small body" do
      before = total_ops
      io.http_write_response(200, {}, "x" * 10_000)
      expect(total_ops - before).to eq(1)
      expect(received.bytesize).to be > 10_000
    end

    it "sends a large body from where it is" do
      body = Random.new(3).bytes(3_000_000)
      all = +"".b
      reading = Thread.new { all << as_socket(peer).readpartial(100_000) until all.end_with?(body[-100..]) }
      sent = soon { io.http_write_response(200, nil, body) }
      reading.join
      expect(all == "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n".b << body).to be(true)
      expect(sent).to eq(all.bytesize)
    end

    it "has no body where the status forbids it" do
      [204, 304, 103].each { |status| io.http_write_response(status, nil, "body") }
      expect(received).to eq(<<~TEXT.gsub("\n", "\r\n"))
        HTTP/1.1 204 No Content

        HTTP/1.1 304 Not Modified
        Content-Length: 4

        HTTP/1.1 103 Early Hints

      TEXT
      io.http_write_response(304)
      expect(received).to eq("HTTP/1.1 304 Not Modified\r\n\r\n")
    end

    it "refuses what would be read as another message" do
      bad = [
        [200, { "A\r\nB" => "c" }], [200, { "A" => "b\r\nC: d" }], [200, { "A" => ["b", "c\n"] }],
        [200, { "" => "a" }], [200, { "A b" => "c" }], [200, { "\u00fc" => "c" }], [200, { "A" => "\0" }],
        [200, { "Content-Length" => "5" }], [200, { "transfer-encoding" => "chunked" }],
        [99], [600], [-1], [2**40]
      ]
      bad.each { |arguments| expect { io.http_write_response(*arguments) }.to raise_error(ArgumentError) }
      expect { io.http_write_response }.to raise_error(ArgumentError)
      expect([received, io.http_keep_alive?]).to eq(["", true])
    end

    it "refuses what is no status, header or body" do
      bad = [["200"], [nil], [200, []], [200, "A: b"], [200, { 1 => "a" }], [200, { "A" => 1.5 }],
             [200, { "A" => [["b"]] }], [200, nil, :body], [200, nil, ["body"]]]
      bad.each { |arguments| expect { io.http_write_response(*arguments) }.to raise_error(TypeError) }
      expect([received, io.http_keep_alive?]).to eq(["", true])
    end

    it "goes through the ring where the socket is full" do
      body = "x" * 10_000
      fiber = machine.spin { 200.times { io.http_write_response(200, nil, body) } }
      snooze
      expect(fiber).not_to be_done
      all = +""
      expected = "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n#{body}" * 200
      reading = Thread.new { all << as_socket(peer).readpartial(100_000) until all.size >= expected.size }
      machine.join(fiber)
      reading.join
      expect(all == expected).to be(true)
    end

    it "ends the connection when it is interrupted" do
      body = "x" * 3_000_000
      timed_out = error_of { machine.timeout(0.01, stop) { io.http_write_response(200, nil, body) } }
      expect(timed_out).to be_a(stop)
      expect([io.http_keep_alive?, read_head]).to eq([false, nil])
    end

    it "raises where the client is gone" do
      close(peer)
      expect { io.http_write_response(200, nil, "foo") }.to raise_error(Errno::EPIPE)
      expect(io.http_keep_alive?).to be(false)
    end

    it "lets other fibers run, however much can be sent at once" do
      turns = 0
      others = machine.spin { loop { machine.snooze.tap { turns += 1 } } }
      300.times { io.http_write_response(204) && received }
      expect(turns).to be_positive
      machine.terminate(others)
    end
  end

  describe "keep-alive" do
    {
      ["GET / HTTP/1.1"] => [true, nil],
      ["GET / HTTP/1.1", "Connection: close"] => [false, "close"],
      ["GET / HTTP/1.0"] => [false, "close"],
      ["GET / HTTP/1.0", "Connection: keep-alive"] => [true, "keep-alive"]
    }.each do |request, (alive, connection)|
      it "is #{alive} for #{request.join(", ")}" do
        ask(*request)
        expect(io.http_keep_alive?).to be(alive)
        io.http_write_response(200)
        expect(received[/^Connection: (.*)\r/, 1]).to eq(connection)
        send_request
        expect(read_head.nil?).to be(!alive)
      end
    end

    it "ends where the program wants it" do
      ask
      io.http_write_response(200, "connection" => "Foo, Close")
      expect(received.scan(/^connection: .*$/i)).to eq(["connection: Foo, Close\r"])
      send_request
      expect([io.http_keep_alive?, read_head]).to eq([false, nil])
    end

    it "ends with a switch to another protocol" do
      ask
      io.http_write_response(101, "Connection" => "Upgrade", "Upgrade" => "x")
      send_raw("other")
      expect([io.http_keep_alive?, read_head, io.read(5)]).to eq([false, nil, "other"])
    end

    it "is there before the first request" do
      expect(io.http_keep_alive?).to be(true)
    end
  end

  describe "to HEAD" do
    before { ask("HEAD / HTTP/1.1") }

    it "has the length of a body, and no body" do
      io.http_write_response(200, nil, "hello")
      expect(received).to eq("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    end

    it "says nothing of a body that there is not" do
      io.http_write_response(200)
      expect(received).to eq("HTTP/1.1 200 OK\r\n\r\n")
    end

    it "has no chunks" do
      io.http_write_head(200)
      expect([io.http_write_chunk("foo"), io.http_finish]).to eq([0, 0])
      expect(received).to eq("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    end
  end

  describe "in pieces" do
    it "is chunked", :gc do
      ask
      io.http_write_head(200, "A" => "b")
      expect(io.http_writing?).to be(true)
      expect(io.http_write_chunk("hello")).to eq(10)
      expect(io.http_write_chunk("")).to eq(0)
      io.http_write_chunk("x" * 20_000)
      io.http_finish
      expect(received).to eq(
        "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n" \
        "5\r\nhello\r\n4e20\r\n#{"x" * 20_000}\r\n0\r\n\r\n"
      )
      expect([io.http_writing?, io.http_keep_alive?]).to eq([false, true])
    end

    it "ends with the connection in HTTP/1.0" do
      ask("GET / HTTP/1.0", "Connection: keep-alive")
      io.http_write_head(200)
      io.http_write_chunk("hello")
      io.http_finish
      expect(received).to eq("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
      expect([io.http_keep_alive?, read_head]).to eq([false, nil])
    end

    it "has no body where the status forbids it" do
      ask
      io.http_write_head(204)
      io.http_write_chunk("foo")
      io.http_finish
      expect(received).to eq("HTTP/1.1 204 No Content\r\n\r\n")
      expect(io.http_keep_alive?).to be(true)
    end

    it "may come behind an interim response" do
      ask
      io.http_write_head(103, "Link" => "</style>")
      io.http_write_response(200)
      expect(received).to eq(
        "HTTP/1.1 103 Early Hints\r\nLink: </style>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
      )
    end

    it "has its order" do
      ask
      expect { io.http_write_chunk("x") }.to raise_error(UM::Error, /http_write_head/)
      expect { io.http_finish }.to raise_error(UM::Error, /http_write_head/)
      io.http_write_head(200)
      expect { io.http_write_head(200) }.to raise_error(UM::Error, /not finished/)
      expect { io.http_write_response(200) }.to raise_error(UM::Error, /not finished/)
      expect { io.http_write_chunk(1) }.to raise_error(TypeError)
    end

    it "is no end where it was not finished" do
      ask
      io.http_write_head(200)
      send_request
      expect([io.http_keep_alive?, read_head]).to eq([false, nil])
    end
  end

  describe "#http_write_refusal" do
    it "says what is wrong, and that it is the end" do
      io
      send_raw("GET / HTTP/1.1\r\n\r\n")
      begin
        read_head
      rescue UM::IO::HTTPError => e
        io.http_write_refusal(e)
      end
      head, body = received.split("\r\n\r\n")
      expect(head).to start_with("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain")
      expect(head).to include("\r\nConnection: close\r\n")
      expect(body).to match(/\AHost is missing.*\n\z/)
    end

    it "takes errors of the program" do
      ask
      io.http_write_refusal(UM::IO::HTTPError.new("no tea here", 418))
      expect(received).to start_with("HTTP/1.1 418").and end_with("no tea here\n")
      expect(read_head).to be_nil
    end

    it "has a body although the request before was HEAD" do
      ask("HEAD / HTTP/1.1")
      io.http_write_response(200)
      received
      send_raw("bad\r\n")
      send_raw("\r\n")
      expect(refusal { read_head }).to eq([400, "malformed request line"])
      io.http_write_refusal(UM::IO::HTTPError.new("bad"))
      expect(received).to end_with("\r\n\r\nbad\n")
    end

    it "says nothing in the middle of a response" do
      ask
      io.http_write_head(200)
      received
      expect(io.http_write_refusal(UM::IO::HTTPError.new)).to be_nil
      expect(received).to eq("")
    end
  end

  it "are sent by write(2) where the descriptor is no socket" do
    reader, writer = pipe
    piped = open_io(writer, reader, :fd)
    sent = piped.http_write_response(200, nil, "foo")
    expect(machine.read(reader, received = +"", 100)).to eq(sent)
    expect(received).to eq("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nfoo")
  end

  it "are sent over TLS" do
    server, client = tls_pair
    io = described_class.new(machine, server)
    request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    machine.ssl_write(client, request, request.size)
    expect(soon { io.http_read_request_headers }).to include("host" => "a")
    body = "x" * 20_000
    answering = machine.spin { io.http_write_response(200, nil, body) }
    answer = soon { ssl_read_until(client, body) }
    expect(answer).to eq("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n#{body}")
    machine.join(answering)
  end
end
