# frozen_string_literal: true

require "json"
require_relative "../support/rack_servers"

RSpec.describe "UM::RackServer: environments" do
  def environment(port, request, body = "")
    JSON.parse(parts_of(exchange(port, request + body)).last)
  end

  strings = "env.reject { |key, _| key.include?('.') }"

  it "say what was asked for" do
    serve(app_showing(strings)) do |port|
      env = environment(port, get("/a%20b/c?d=e?f&g", "X-Some-Thing: 1", "x-some-thing: 2", "Cookie: a=b"))
      expect(env).to include(
        "REQUEST_METHOD" => "GET", "SCRIPT_NAME" => "", "PATH_INFO" => "/a%20b/c",
        "QUERY_STRING" => "d=e?f&g", "REQUEST_URI" => "/a%20b/c?d=e?f&g",
        "SERVER_PROTOCOL" => "HTTP/1.1", "SERVER_NAME" => "example.org", "SERVER_PORT" => "8080",
        "HTTP_HOST" => "example.org:8080", "REMOTE_ADDR" => "127.0.0.1",
        "HTTP_X_SOME_THING" => "1, 2", "HTTP_COOKIE" => "a=b"
      )
    end
  end

  it "have type and length of a body without HTTP_" do
    serve(app_showing(strings)) do |port|
      head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
      request = "#{head}Content-Type: x/y\r\nContent-Length: 3\r\n\r\nabc"
      env = environment(port, request)
      expect(env).to include("CONTENT_TYPE" => "x/y", "CONTENT_LENGTH" => "3", "SERVER_PORT" => "80")
      expect(env.keys).not_to include("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH")
    end
  end

  it "don't take one name for another" do
    serve(app_showing(strings)) do |port|
      env = environment(port, get("/", "X_Forwarded_For: bad", "Content_Length: 5"))
      expect(env.keys.grep(/FORWARDED|LENGTH/)).to eq([])
    end
  end

  {
    "OPTIONS *" => { "PATH_INFO" => "*", "QUERY_STRING" => "", "SERVER_NAME" => "a" },
    "GET http://b:81/c?d" => { "PATH_INFO" => "/c", "QUERY_STRING" => "d", "SERVER_NAME" => "b",
                               "SERVER_PORT" => "81", "HTTP_HOST" => "b:81" },
    "GET http://b" => { "PATH_INFO" => "/", "SERVER_NAME" => "b", "SERVER_PORT" => "80" },
    "CONNECT b:443" => { "PATH_INFO" => "b:443", "SERVER_NAME" => "a" }
  }.each do |line, expected|
    it "know the target of #{line}" do
      serve(app_showing(strings)) do |port|
        request = "#{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        expect(environment(port, request)).to include(expected)
      end
    end
  end

  it "name the server where the client doesn't" do
    serve(app_showing(strings)) do |port|
      env = environment(port, "GET / HTTP/1.0\r\n\r\n")
      expect(env).to include("SERVER_NAME" => "127.0.0.1", "SERVER_PORT" => port.to_s)
      expect(environment(port, "GET / HTTP/1.1\r\nHost: [::1]:81\r\nConnection: close\r\n\r\n"))
        .to include("SERVER_NAME" => "[::1]", "SERVER_PORT" => "81")
    end
  end

  it "have bytes that are not ASCII as they came" do
    serve(app_showing('[env["HTTP_X"].bytes, env["HTTP_X"].encoding.to_s]')) do |port|
      expect(environment(port, get("/", "X: \u00fc"))).to eq([[0xc3, 0xbc], "ASCII-8BIT"])
      expect(environment(port, get("/", "X: \xfc".b))).to eq([[0xfc], "ASCII-8BIT"])
    end
  end

  it "belong to one request each" do
    serve(app_showing('[env.delete("mark"), env.store("mark", "set"), env["QUERY_STRING"]]')) do |port|
      connect(port) do |socket|
        socket.write(get("/?a", connection: "keep-alive") + get("/"))
        expect(socket.read.scan(/^\[.*\]/)).to eq(['[null,"set","a"]', '[null,"set",""]'])
      end
    end
  end
end
