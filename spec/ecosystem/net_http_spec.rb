# frozen_string_literal: true

require "digest"
require "net/http"
require "open-uri"
require_relative "../support/ecosystem"
require_relative "../support/nginx_server"

# Against nginx, which passes the requests on to a server that answers when all of them have come.
RSpec.describe "Net::HTTP and open-uri" do
  before(:context) { @nginx = SpecSupport::NginxServer.new }
  after(:context) { @nginx&.stop }
  before { @nginx.meetings.reset }

  let(:store) { OpenSSL::X509::Store.new.tap { |store| store.add_cert(SpecSupport::TLS::CERTIFICATE) } }

  def open_http(&) = Net::HTTP.start("127.0.0.1", @nginx.port, &)

  def open_https(&)
    Net::HTTP.start("localhost", @nginx.https_port, ipaddr: "127.0.0.1", use_ssl: true, cert_store: store, &)
  end

  def connection_of(response) = response["X-Connection"].split.map(&:to_i)

  in_both_ways do
    %i[open_http open_https].each do |opening|
      it "has 40 requests open at a time, three times on each connection (#{opening})" do
        fetching = Array.new(40) do |number|
          lambda do
            send(opening) do |http|
              Array.new(3) { |round| http.get("/40/round#{round}/#{number}") }
            end
          end
        end
        responses = together(fetching)
        expect(responses.map { |all| all.map(&:body) })
          .to eq(Array.new(40) { |number| Array.new(3) { |round| "GET /40/round#{round}/#{number}" } })
        connections = responses.map { |all| all.map { |response| connection_of(response) } }
        expect(connections.map { |all| all.map(&:last) }).to all(eq([1, 2, 3]))
        expect(connections.map { |all| all.map(&:first).uniq }.uniq.size).to eq(40)
      end

      it "gets big bodies in ten fibers, piece by piece and in turns (#{opening})" do
        meeting = SpecSupport::Meeting.new(10)
        fetching = Array.new(10) do
          lambda do
            digest = Digest::SHA256.new
            pieces = 0
            send(opening) do |http|
              http.request_get("/big") do |response|
                response.read_body do |piece|
                  digest << piece
                  meeting.arrive if (pieces += 1) == 2 # nobody is done before all have begun
                end
              end
            end
            digest.digest
          end
        end
        expect(together(fetching).uniq).to eq([Digest::SHA256.digest(SpecSupport::NginxServer::BIG)])
      end

      it "posts (#{opening})" do
        posting = Array.new(10) do |number|
          -> { send(opening) { |http| http.post("/10/post", "data #{number}").body } }
        end
        expect(together(posting)).to eq(Array.new(10) { |number| "POST /10/post data #{number}" })
      end
    end

    it "times out beside requests that are answered" do
      silent = TCPServer.new("127.0.0.1", 0)
      timing_out = lambda do
        http = Net::HTTP.new("127.0.0.1", silent.local_address.ip_port)
        http.read_timeout = 0.02
        http.max_retries = 0
        error_of { http.get("/") }.class
      end
      fetching = Array.new(10) { -> { open_http { |http| http.get("/10/others").code } } }
      expect(together(timing_out, fetching)).to eq([Net::ReadTimeout] + (["200"] * 10))
      silent.close
    end

    it "opens URIs in 20 fibers" do
      opening = Array.new(20) do |number|
        lambda do
          url = "http://127.0.0.1:#{@nginx.port}/20/uris/#{number}"
          URI.parse(url).open { |io| [io.status.first, io.read] }
        end
      end
      expect(together(opening)).to eq(Array.new(20) { |number| ["200", "GET /20/uris/#{number}"] })
    end

    it "opens a big file over HTTPS" do
      url = "https://localhost:#{@nginx.https_port}/big"
      opening = -> { URI.parse(url).open(ssl_ca_cert: @nginx.path("certificate.pem"), &:read).b }
      expect(together([opening] * 2).uniq == [SpecSupport::NginxServer::BIG]).to be(true)
    end
  end
end
