# frozen_string_literal: true

require "open3"
require "securerandom"
require_relative "../support/http_peers"

# A server on UM::IO, and curl as its client.
RSpec.describe UM::IO, "with curl" do
  include SpecSupport::MachineHelpers
  include SpecSupport::HTTPPeers

  before { skip "curl is missing" unless system("curl --version", out: File::NULL) }

  # Answers with what was asked: method, path and body.
  def answer(io, head)
    body = io.http_read_body(head)
    io.http_write_response(200, nil, "#{head[":method"]} #{head[":path"]} #{body}")
  end

  def serve(connection)
    io = described_class.new(machine, connection, :socket)
    while (head = io.http_read_request_headers)
      block_given? ? yield(io, head) : answer(io, head)
    end
  rescue UM::IO::HTTPError => e
    io.http_write_refusal(e)
  ensure
    close(keep(connection))
  end

  # The port of a server.
  def start_server(&)
    fd, port = listener
    machine.spin { machine.accept_each(fd) { |connection| machine.spin { serve(connection, &) } } }
    "http://127.0.0.1:#{port}"
  end

  # What curl prints, while other fibers run.
  def curl(*arguments)
    command = ["curl", "--silent", "--show-error", "--max-time", "20", *arguments]
    program = Thread.new { Open3.capture2e(*command) }
    machine.sleep(0.005) while program.alive?
    program.value.first
  end

  it "keeps the connection" do
    url = start_server
    urls = Array.new(5) { |number| "#{url}/#{number}" }
    expect(curl(*urls, "-w", " %{num_connects}\n")).to eq(<<~TEXT)
      GET /0  1
      GET /1  0
      GET /2  0
      GET /3  0
      GET /4  0
    TEXT
  end

  it "gets the body of a POST, and of one that waits to be told" do
    url = start_server
    expect(curl(url, "--data-binary", "foo=bar")).to eq("POST / foo=bar")
    expect(curl(url, "--data-binary", "foo", "-H", "Expect: 100-continue", "-v")).to include(
      "HTTP/1.1 100 Continue", "HTTP/1.1 200 OK", "POST / foo"
    )
  end

  it "gets an upload in chunks" do
    url = start_server
    text = SecureRandom.alphanumeric(300_000)
    upload = file(text)
    printed = curl("#{url}/up", "-H", "Transfer-Encoding: chunked", "-T", upload)
    expect(printed == "PUT /up #{text}").to be(true)
  end

  it "is told that the body is too large" do
    url = start_server
    upload = file("x" * 2_000_000)
    printed = curl(url, "--data-binary", "@#{upload}", "-H", "Expect: 100-continue", "-w", " %{http_code}")
    expect(printed).to eq("body too large\n 413")
  end

  it "gets a body that is streamed, in both versions" do
    url = start_server do |io, _head|
      io.http_write_head(200)
      3.times { |number| io.http_write_chunk("#{number} ") && machine.sleep(0.001) }
      io.http_finish
    end
    expect(curl(url, url)).to eq("0 1 2 0 1 2 ")
    expect(curl("--http1.0", url)).to eq("0 1 2 ")
  end

  it "gets no body for HEAD" do
    url = start_server
    expect(curl("--head", url, url).scan("HTTP/1.1 200 OK").size).to eq(2)
  end
end
