# frozen_string_literal: true

require "net/http"
require "openssl"
require_relative "free_port"
require_relative "meeting"
require_relative "server_program"
require_relative "tls"

module SpecSupport
  # An HTTP server of one thread per connection: it answers a request for `/30/first/anything` when 30
  # have come for `/30/first`. The answer is the request's verb, path and body.
  class MeetingServer
    attr_reader :port

    def initialize
      @server = TCPServer.new("127.0.0.1", 0)
      @port = @server.local_address.ip_port
      @meetings = {}
      @lock = Thread::Mutex.new
      @thread = Thread.new { loop { Thread.new(@server.accept) { |peer| serve(peer) } } }
      @thread.report_on_exception = false
    end

    def stop
      @thread.kill.join
      @server.close
    end

    # Forgets who has met.
    def reset = @lock.synchronize { @meetings.clear }

    # Waits for the others; for Rack applications and servlets as well.
    def meet(path)
      size, name = path.delete_prefix("/").split("/")
      @lock.synchronize { @meetings["#{size}/#{name}"] ||= Meeting.new(Integer(size)) }.arrive
    end

    private

    def serve(peer)
      verb, path = peer.gets&.split
      return unless path # nginx has given up

      length = 0
      while (line = peer.gets) != "\r\n"
        length = line[/\d+/].to_i if line.match?(/\Acontent-length/i)
      end
      body = "#{verb} #{path} #{peer.read(length)}".strip
      meet(path)
      peer.write("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")
    rescue Errno::EPIPE, Errno::ECONNRESET
      nil # the client has given up
    ensure
      peer.close
    end
  end

  # nginx with HTTP and HTTPS in front of a {MeetingServer}, and a big file of its own.
  class NginxServer < ServerProgram
    BIG = Random.new(1).bytes(2_000_000)

    attr_reader :https_port, :meetings

    def initialize
      @meetings = MeetingServer.new
      @held_https = FreePort.new
      @https_port = @held_https.number
      super() do
        file("key.pem", TLS::KEY.to_pem)
        file("certificate.pem", TLS::CERTIFICATE.to_pem)
        file("big", BIG)
        ["nginx", "-p", folder, "-e", path("error.log"), "-c", file("nginx.conf", configuration)]
      end
    end

    def stop
      super
      @meetings.stop
      @held_https.release
    end

    private

    # `X-Connection` says which connection a request came by, and as which one of it.
    def configuration
      <<~CONFIGURATION
        daemon off; master_process off; pid nginx.pid;
        #{"user root;" if Process.uid.zero?}
        events { worker_connections 512; }
        http {
          access_log off;
          client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .; scgi_temp_path .;
          ssl_certificate certificate.pem; ssl_certificate_key key.pem;
          add_header X-Connection "$connection $connection_requests";
          server {
            listen 127.0.0.1:#{port};
            listen 127.0.0.1:#{https_port} ssl;
            root #{folder};
            location = /big { }
            location / { proxy_pass http://127.0.0.1:#{@meetings.port}; proxy_read_timeout 20s; }
          }
        }
      CONFIGURATION
    end
  end
end
