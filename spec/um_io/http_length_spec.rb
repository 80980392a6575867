# frozen_string_literal: true

require_relative "../support/http_peers"

# Bodies that come in pieces and whose length is known.
RSpec.describe UM::IO, "#http_write_head with a length" do
  include SpecSupport::MachineHelpers
  include SpecSupport::HTTPPeers

  def ask(line = "GET / HTTP/1.1")
    io
    send_request(line)
    read_head
  end

  it "sends pieces as they are", :gc do
    ask
    io.http_write_head(200, { "A" => "b" }, 6)
    %w[one two].each { |piece| io.http_write_chunk(piece) }
    io.http_finish
    expect(received).to eq("HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 6\r\n\r\nonetwo")
    expect(io.http_keep_alive?).to be(true)
  end

  it "keeps the connection in HTTP/1.0 too" do
    io
    send_request("GET / HTTP/1.0", "Connection: keep-alive")
    read_head
    io.http_write_head(200, nil, 0)
    io.http_finish
    expect(received).to eq("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
    expect(io.http_keep_alive?).to be(true)
  end

  it "says the length for HEAD, and sends no body" do
    ask("HEAD / HTTP/1.1")
    io.http_write_head(200, nil, 5)
    io.http_write_chunk("hello")
    io.http_finish
    expect(received).to eq("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
  end

  it "refuses more than that, and there is no next request" do
    ask
    io.http_write_head(200, nil, 3)
    expect { io.http_write_chunk("four") }.to raise_error(UM::Error, /longer than its length/)
    send_request
    expect([io.http_keep_alive?, read_head]).to eq([false, nil])
  end

  it "refuses to finish before, and there is no next request" do
    ask
    io.http_write_head(200, nil, 3)
    io.http_write_chunk("ab")
    expect { io.http_finish }.to raise_error(UM::Error, /shorter than its length/)
    send_request
    expect([io.http_keep_alive?, read_head]).to eq([false, nil])
  end

  it "takes a length only" do
    ask
    expect { io.http_write_head(200, nil, -1) }.to raise_error(ArgumentError)
    expect { io.http_write_head(200, nil, "3") }.to raise_error(TypeError)
    expect([received, io.http_keep_alive?]).to eq(["", true])
  end
end
