# frozen_string_literal: true

require "open3"
require "zlib"
require_relative "seed_000_programs"
require_relative "server_programs"

RSpec.describe "the programs of the text on advanced I/O", time_limit: 60 do
  include ServerPrograms

  around do |example|
    Dir.mktmpdir do |folder|
      @path = File.join(folder, "file")
      File.binwrite(@path, random_bytes(2_000_000, 1))
      example.run
    end
  end

  def received(port) = TCPSocket.open(SpecSupport::TCPClients::HOST, port, &:read)

  Seed000::SEND_FILE.each_key do |name|
    describe "sending a file by #{name}" do
      it "sends all of it to netcat" do
        serve(Seed000.file_server(name, @path)) do |port, program|
          expect(netcat(port, "").b == File.binread(@path)).to be(true), program.report
        end
      end

      it "sends it to 50 clients at once" do
        serve(Seed000.file_server(name, @path)) do |port, program|
          answers = Array.new(50) { Thread.new { received(port) } }.map(&:value)
          expect(answers.count(File.binread(@path))).to eq(50), program.report
        end
      end

      it "sends it while other clients cut their connections or read nothing" do
        serve(Seed000.file_server(name, @path)) do |port, program|
          idle = TCPSocket.new("127.0.0.1", port)
          5.times { reset(TCPSocket.new("127.0.0.1", port).tap { |socket| socket.read(10) }) }
          expect(received(port) == File.binread(@path)).to be(true), program.report
          expect(idle.read == File.binread(@path)).to be(true), program.report
          idle.close
        end
      end

      it "ends on SIGINT while a client reads nothing" do
        serve(Seed000.file_server(name, @path)) do |port, program|
          TCPSocket.open("127.0.0.1", port) do |client|
            client.read(1)
            program.kill(:INT)
            expect(program.wait(20)&.termsig).to eq(Signal.list["INT"]), program.report
          end
        end
      end
    end
  end

  Seed000::GZIP_FILE.each do |name, source|
    describe "sending a file compressed by #{name}" do
      it "sends it to gunzip, and to 20 clients at once" do
        serve(Seed000.gzip_server(source, @path)) do |port, program|
          text, = Open3.capture2("nc 127.0.0.1 #{port} </dev/null | gunzip", binmode: true)
          expect(text == File.binread(@path)).to be(true), program.report
          answers = Array.new(20) { Thread.new { Zlib.gunzip(received(port)) } }.map(&:value)
          expect(answers.count(File.binread(@path))).to eq(20), program.report
        end
      end
    end
  end

  describe "sending a file compressed and in chunks" do
    it "sends it to curl, which decompresses it" do
      serve(Seed000.gzip_server(Seed000::GZIP_CHUNKED, @path)) do |port, program|
        command = ["curl", "-sS", "--compressed", "--http1.1", "--max-time", "20", "http://127.0.0.1:#{port}/"]
        text, = Open3.capture2(*command, binmode: true)
        expect(text == File.binread(@path)).to be(true), program.report
      end
    end
  end
end
