# frozen_string_literal: true

require_relative "../support/http_peers"

# Bodies of requests, and how the next request is found behind them.
RSpec.describe UM::IO, "#http_read_body" do
  include SpecSupport::MachineHelpers
  include SpecSupport::HTTPPeers

  let(:stop) { SpecSupport::MachineHelpers::Stop }

  def chunked(*chunks) = [*chunks, ""].map { |chunk| "#{chunk.bytesize.to_s(16)}\r\n#{chunk}\r\n" }.join

  def post(body) = send_request("POST / HTTP/1.1", "Content-Length: #{body.bytesize}", body:)

  def post_chunks(*chunks)
    send_request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body: chunked(*chunks))
  end

  def parts(**options)
    [].tap { |all| soon { io.http_read_body(nil, **options) { |part| all << part } } }
  end

  def expect_next_request
    send_request("GET /next HTTP/1.1")
    expect(read_head).to include(":path" => "/next")
  end

  it "reads a body of a given length", :gc do
    post("hello")
    headers = read_head
    expect(soon { io.http_read_body(headers) }).to eq("hello".b)
    expect(read_body).to be_nil
    expect_next_request
  end

  it "reads a body in chunks" do
    post_chunks("foo", "b" * 20_000, "\r\n0\r\n\r\n")
    read_head
    expect(read_body).to eq("foo#{"b" * 20_000}\r\n0\r\n\r\n")
    expect(read_body).to be_nil
    expect_next_request
  end

  it "is nil where there is no body" do
    send_request
    read_head
    expect(read_body).to be_nil
    post("")
    read_head
    expect(read_body).to be_nil
    post_chunks
    read_head
    expect(read_body).to be_nil
    expect_next_request
  end

  it "reads a large body" do
    body = Random.new(1).bytes(900_000)
    sending = Thread.new { post(body) }
    read_head
    expect(read_body == body).to be(true)
    sending.join
    expect_next_request
  end

  it "reads a body that comes byte by byte" do
    send_request("POST / HTTP/1.1", "Transfer-Encoding: chunked")
    read_head
    reading = machine.spin { io.http_read_body }
    chunked("ab", "c").each_char do |char|
      expect(reading).not_to be_done
      send_raw(char)
      snooze
    end
    expect(machine.join(reading)).to eq("abc")
  end

  describe "with a block" do
    it "yields what comes" do
      send_request("POST / HTTP/1.1", "Content-Length: 6", body: "foo")
      read_head
      all = []
      reading = machine.spin { io.http_read_body { |part| all << part } }
      snooze
      expect(all).to eq(["foo"])
      send_raw("bar")
      expect(machine.join(reading)).to be_nil
      expect(all).to eq(%w[foo bar])
      expect_next_request
    end

    it "yields the payload of chunks" do
      post_chunks("foo", "bar")
      read_head
      expect(parts.join).to eq("foobar")
      expect_next_request
    end

    it "has no limit where max is nil" do
      body = Random.new(2).bytes(1_500_000)
      sending = Thread.new { post(body) }
      read_head
      expect(parts(max: nil).join == body).to be(true)
      sending.join
      sending = Thread.new { post_chunks(*([body[0, 150_000]] * 10)) }
      read_head
      expect(parts(max: nil).sum(&:bytesize)).to eq(1_500_000)
      sending.join
    end

    it "goes on where a break has left it" do
      post_chunks("foo", "bar", "baz")
      read_head
      expect(soon { io.http_read_body { |part| break part } }).to eq("foo")
      expect(read_body).to eq("barbaz")
      expect_next_request
    end

    it "lets the block write" do
      post("ping")
      read_head
      soon { io.http_read_body { |part| io.write(part.reverse) } }
      expect(received).to eq("gnip")
    end
  end

  it "is 413 where the body is too large, before it is read" do
    send_request("POST / HTTP/1.1", "Content-Length: 1048577")
    read_head
    expect(refusal { read_body }).to eq([413, "body too large"])
    expect([io.http_keep_alive?, read_head, read_body]).to eq([false, nil, nil])
  end

  it "is 413 where chunks become too large" do
    post_chunks("foo", "bar")
    read_head
    expect(refusal { read_body(max: 5) }).to eq([413, "body too large"])
    expect(read_head).to be_nil
  end

  it "takes as much as it is told" do
    post("123456")
    read_head
    expect(read_body(max: 6)).to eq("123456")
    post_chunks("123", "456")
    read_head
    expect(read_body(max: 6)).to eq("123456")
  end

  it "is 400 where the body is cut off" do
    send_request("POST / HTTP/1.1", "Content-Length: 5", body: "foo")
    hang_up
    read_head
    expect(refusal { read_body }).to eq([400, "the request is cut off"])
    expect(read_head).to be_nil
  end

  it "is 400 where chunks are cut off, or malformed" do
    send_request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body: "3\r\nfoo\r\nx\r\n")
    read_head
    expect(refusal { parts }).to eq([400, "malformed chunk size"])
    other = open_io(*socketpair)
    send_request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body: "3\r\nfo")
    hang_up
    other.http_read_request_headers
    expect(refusal { other.http_read_body }).to eq([400, "the request is cut off"])
  end

  it "loses nothing when it is interrupted" do
    [["Content-Length: 6", "foo", "bar"],
     ["Transfer-Encoding: chunked", "3\r\nfoo\r\n3\r", "\nbar\r\n0\r\n\r\n"]].each do |header, first, rest|
      send_request("POST / HTTP/1.1", header, body: first)
      read_head
      expect(error_of { machine.timeout(0.01, stop) { io.http_read_body } }).to be_a(stop)
      send_raw(rest)
      expect(read_body).to eq("foobar")
    end
    expect_next_request
  end

  it "gives what it is scheduled with" do
    send_request("POST / HTTP/1.1", "Content-Length: 6")
    read_head
    [proc { io.http_read_body }, proc { io.http_read_body { |part| part } }].each do |body|
      reading = parked(&body)
      machine.schedule(reading, :value)
      expect(machine.join(reading)).to eq(:value)
    end
  end

  describe "when the body was not read" do
    it "passes over it" do
      post("x" * 100_000)
      read_head
      post_chunks("foo", "GET / HTTP/1.1\r\n\r\n")
      expect(read_head).to include("transfer-encoding" => "chunked")
      expect_next_request
    end

    it "passes over the rest of it" do
      post("foobar")
      read_head
      soon { io.http_read_body { break } }
      post_chunks("foo", "bar")
      read_head
      soon { io.http_read_body { break } }
      expect_next_request
    end

    it "ends the connection where too much is left" do
      send_request("POST / HTTP/1.1", "Content-Length: 2000000")
      read_head
      io.http_write_response(200)
      expect(received).to include("Connection: close\r\n")
      expect([io.http_keep_alive?, read_head]).to eq([false, nil])
    end

    it "ends the connection where chunks don't end" do
      sending = Thread.new { post_chunks(*(["x" * 100_000] * 11)) }
      read_head
      expect([read_head, io.http_keep_alive?]).to eq([nil, false])
      sending.join
    end

    it "ends the connection where the rest is malformed or missing" do
      send_request("POST / HTTP/1.1", "Transfer-Encoding: chunked", body: "x\r\n")
      read_head
      expect([read_head, io.http_keep_alive?]).to eq([nil, false])
    end

    it "counts what other methods have read of it" do
      post("foobar")
      read_head
      expect(io.read(6)).to eq("foobar")
      expect(read_body).to be_nil
      expect_next_request
      post("foobar")
      read_head
      io.skip(3)
      expect(read_body).to eq("bar")
    end

    # A body may look like a request from within.
    it "finds no request behind chunks that other methods have begun to read" do
      post_chunks("a")
      read_head
      io.read(1)
      expect([read_head, io.http_keep_alive?]).to eq([nil, false])
    end
  end

  describe "for a client that waits to be told" do
    def expect_continue(length)
      send_request("PUT / HTTP/1.1", "Content-Length: #{length}", "Expect: 100-continue")
    end

    it "tells it when the body is asked for" do
      expect_continue(3)
      read_head
      expect(received).to eq("")
      reading = parked { io.http_read_body }
      expect(received).to eq("HTTP/1.1 100 Continue\r\n\r\n")
      send_raw("foo")
      expect(machine.join(reading)).to eq("foo")
      io.http_write_response(200)
      expect(received).to eq("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      expect_next_request
    end

    it "tells it nothing when the body is too large" do
      expect_continue(5)
      read_head
      expect(refusal { read_body(max: 4) }).to eq([413, "body too large"])
      expect(received).to eq("")
    end

    it "ends the connection where the body was not asked for" do
      expect_continue(3)
      read_head
      io.http_write_response(417)
      expect(received).to include("Connection: close\r\n")
      expect(read_head).to be_nil
    end

    it "ends the connection where it was not even answered" do
      expect_continue(3)
      read_head
      expect(read_head).to be_nil
    end

    it "lets the program tell it" do
      expect_continue(3)
      read_head
      io.http_write_response(100)
      send_raw("foo")
      expect(read_body).to eq("foo")
      expect(received).to eq("HTTP/1.1 100 Continue\r\n\r\n")
    end
  end

  it "refuses bad arguments" do
    expect { io.http_read_body }.to raise_error(UM::Error, /no request/)
    post("x")
    read_head
    expect { io.http_read_body(max: -1) }.to raise_error(ArgumentError)
    expect { io.http_read_body(max: 1.5) }.to raise_error(TypeError)
    expect { io.http_read_body(limit: 1) }.to raise_error(ArgumentError)
    expect { io.http_read_body("x") }.to raise_error(TypeError)
    expect(read_body).to eq("x")
  end
end
