# frozen_string_literal: true

require "open3"
require "tempfile"
require_relative "seed_001_programs"
require_relative "server_programs"

RSpec.describe "the programs of the text on pipes and splicing", time_limit: 60 do
  include ServerPrograms

  # Starts a proxy in front of a server.
  def serve_proxy(name, destination, accepting: Seed001::PROXY_LOOP, &)
    serve(Seed001.proxy(name, accepting), printed_port: 4321, replace: { 1234 => destination }, &)
  end

  # Sends a line, half-closes, and reads to the end.
  def whole_answer(port, line)
    TCPSocket.open(SpecSupport::TCPClients::HOST, port) do |socket|
      socket.write(line)
      socket.close_write
      socket.read
    end
  end

  def expect_alive(port, program, line = "still there\n")
    expect(echo(port, line)).to eq(line), program.report
  end

  Seed001::ECHO_SERVERS.each do |name, source|
    describe "the echo server #{name}" do
      it "answers netcat" do
        serve(source) { |port, program| expect(netcat(port, "foobar\n")).to eq("foobar\n"), program.report }
      end

      it "answers 50 clients at once" do
        serve(source) do |port, program|
          expect(wrong_echoes(port, clients: 50, bytes: 100_000)).to eq([]), program.report
        end
      end

      it "survives clients that cut their connection, and so do the others" do
        serve(source) do |port, program|
          other = TCPSocket.new("127.0.0.1", port)
          other.write("begun, ")
          5.times { cut_connection(port) }
          other.write("ended")
          other.close_write
          expect(other.read(12)).to eq("begun, ended"), program.report
          expect_alive(port, program)
          other.close
        end
      end

      %i[INT TERM].each do |signal|
        it "ends on SIG#{signal} while a client is connected" do
          serve(source) do |port, program|
            TCPSocket.open("127.0.0.1", port) do |client|
              client.write("x")
              program.kill(signal)
              expect(program.wait(5)&.termsig).to eq(Signal.list.fetch(signal.to_s)), program.report
            end
          end
        end
      end
    end
  end

  Seed001::PROXY_HANDLERS.each_key do |name|
    describe "the proxy #{name}" do
      # The echo server of the text that answers before it has read everything.
      around { |example| serve(Seed001::ECHO_SPLICE) { |port| @destination = port and example.run } }

      it "passes netcat's line on, and the answer back" do
        serve_proxy(name, @destination) do |port, program|
          expect(netcat(port, "foobar\n")).to eq("foobar\n"), program.report
        end
      end

      it "accepts in the main fiber" do
        serve_proxy(name, @destination, accepting: Seed001::PROXY_WHILE) do |port, program|
          expect(wrong_echoes(port, clients: 3, bytes: 1000)).to eq([]), program.report
        end
      end

      it "serves 50 clients at once" do
        serve_proxy(name, @destination) do |port, program|
          expect(wrong_echoes(port, clients: 50, bytes: 100_000)).to eq([]), program.report
        end
      end

      it "survives clients that cut their connection, and so do the others" do
        serve_proxy(name, @destination) do |port, program|
          other = TCPSocket.new("127.0.0.1", port)
          other.write("begun, ")
          expect(other.read(7)).to eq("begun, ")
          5.times { cut_connection(port) }
          expect_alive(port, program)
          other.write("ended")
          expect(other.read(5)).to eq("ended"), program.report
          other.close
        end
      end

      %i[INT TERM].each do |signal|
        it "ends on SIG#{signal} while a client is connected" do
          serve_proxy(name, @destination) do |port, program|
            TCPSocket.open("127.0.0.1", port) do |client|
              client.write("x")
              client.read(1)
              program.kill(signal)
              expect(program.wait(5)&.termsig).to eq(Signal.list.fetch(signal.to_s)), program.report
            end
          end
        end
      end
    end
  end

  Seed001::FULL_PROXIES.each do |name|
    describe "the proxy #{name}" do
      it "passes all of a large answer to a client that has half-closed" do
        with_server(method(:large_answer)) do |destination|
          serve_proxy(name, destination) do |port, program|
            answer = whole_answer(port, "request")
            expected = "request".b + random_bytes(SpecSupport::TCPClients::LARGE, 7)
            expect(answer == expected).to be(true), program.report
          end
        end
      end

      it "does so for ten clients at once" do
        with_server(method(:large_answer)) do |destination|
          serve_proxy(name, destination) do |port, program|
            threads = Array.new(10) { |index| Thread.new { whole_answer(port, "x" * (index + 1)) } }
            sizes = threads.map { |thread| thread.value.bytesize - SpecSupport::TCPClients::LARGE }
            expect(sizes).to eq((1..10).to_a), program.report
          end
        end
      end
    end
  end

  describe "move_data_between_ios" do
    it "copies a file" do
      Dir.mktmpdir do |folder|
        source = File.join(folder, "source")
        File.binwrite(source, random_bytes(300_000, 1))
        outcome = ruby_program(Seed001::MOVE_FILE, source, "#{source}.copy")
        expect(outcome.stdout).to eq("[nil, 300000]\n"), outcome.to_s
        expect(File.binread("#{source}.copy") == File.binread(source)).to be(true), outcome.stderr
      end
    end
  end

  describe "compression" do
    # What a filter of the text makes of its input.
    def filtered(source, input)
      command = [RbConfig.ruby, "-I", File.expand_path("../../lib", __dir__), "-e", source]
      output, status = Open3.capture2(*command, stdin_data: input, binmode: true)
      expect(status).to be_success
      output
    end

    ["foobar\n", "", "text " * 100_000].each do |text|
      it "passes #{text.bytesize} bytes through gzip.rb and gunzip" do
        compressed = filtered(Seed001::GZIP, text)
        expect(Open3.capture2("gunzip", stdin_data: compressed, binmode: true).first).to eq(text)
      end

      it "passes #{text.bytesize} bytes through gzip and its counterpart" do
        compressed, = Open3.capture2("gzip", stdin_data: text, binmode: true)
        expect(filtered(Seed001::GUNZIP, compressed)).to eq(text)
      end
    end

    it "has four methods between descriptors and Strings, with what gzip knows of a file" do
      program = <<~'RUBY'
        require 'polyphony'
        File.open('FILE') do |file|
          IO.gzip(file, gzipped = +'', { orig_name: 'file', mtime: 42, comment: 'a remark' })
          p IO.gunzip(gzipped, text = +'', info = {}), info[:orig_name], info[:mtime].to_i, info[:comment]
          IO.deflate(text, deflated = +'')
          IO.inflate(deflated, STDOUT)
        end
      RUBY
      Tempfile.create("seed") do |file|
        file.write("hello " * 1000)
        file.flush
        output = filtered(program.sub("FILE", file.path), "")
        expect(output).to eq(%(6000\n"file"\n42\n"a remark"\n#{"hello " * 1000}))
      end
    end

    it "serves a file gzipped, in chunks that are spliced" do
      Tempfile.create("seed", binmode: true) do |file|
        file.write(random_bytes(300_000, 8) * 3)
        file.flush
        serve(Seed001::STATIC_FILE_GZIPPED.sub("FILE", file.path)) do |port, program|
          command = ["curl", "-sS", "--compressed", "--max-time", "20", "http://127.0.0.1:#{port}/"]
          text, = Open3.capture2(*command, binmode: true)
          expect(text == File.binread(file.path)).to be(true), program.report
        end
      end
    end
  end
end
