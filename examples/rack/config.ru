# frozen_string_literal: true

# What a Rack 3 application may do, for examples/rack_server.rb.

use Rack::Lint # says where an application breaks the rules
text = { "content-type" => "text/plain" }

map "/hello" do
  run ->(_env) { [200, text.dup, ["hello\n"]] }
end

# curl --data-binary @file http://127.0.0.1:9292/echo
map "/echo" do
  run ->(env) { [200, { "content-type" => "application/octet-stream" }, [env["rack.input"].read]] }
end

# The body is written while it is made: curl -N http://127.0.0.1:9292/stream
map "/stream" do
  body = lambda do |stream|
    5.times do |number|
      stream << "line #{number}\n"
      sleep 0.1 # lets other requests run
    end
  ensure
    stream.close
  end
  run ->(_env) { [200, text.dup, body] }
end

# Events for a browser's EventSource.
map "/events" do
  body = lambda do |stream|
    3.times do |number|
      stream.write("id: #{number}\ndata: it is #{Time.now}\n\n")
      sleep 0.1
    end
  ensure
    stream.close
  end
  run ->(_env) { [200, { "content-type" => "text/event-stream", "cache-control" => "no-cache" }, body] }
end

# Another protocol on the same connection, once the client has asked for it: what it writes comes
# back in capitals.
map "/upgrade" do
  echo = lambda do |stream|
    while (byte = stream.read(1))
      stream.write(byte.upcase)
    end
  ensure
    stream.close
  end
  run lambda { |env|
    next [426, { "upgrade" => "echo" }, []] unless env["rack.protocol"]&.include?("echo")

    [101, { "rack.protocol" => "echo" }, echo]
  }
end

# The socket itself, before anything was answered.
map "/hijack" do
  run lambda { |env|
    socket = env["rack.hijack"].call
    Fiber.schedule do
      socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nthis is #{socket.class}\n")
      socket.close
    end
    [200, {}, []]
  }
end

run ->(env) { [env["PATH_INFO"] == "/" ? 200 : 404, text.dup, ["you asked for #{env["PATH_INFO"]}\n"]] }
