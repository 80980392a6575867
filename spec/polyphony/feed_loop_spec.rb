# frozen_string_literal: true

require_relative "../support/polyphony"
require_relative "../support/tls"
require "stringio"

RSpec.describe "IO#feed_loop", :polyphony do
  let(:ends) { IO.pipe(binmode: true) }
  let(:reader) { ends.first }
  let(:writer) { ends.last }

  # A parser of lines, with the interface of MessagePack::Unpacker.
  line_parser = Class.new do
    def feed_each(data)
      (@rest ||= +"") << data
      yield @rest.slice!(0..@rest.index("\n")).chomp while @rest.include?("\n")
    end

    private

    def hidden(_data) = raise("called")
  end

  let(:parser) { line_parser.new }

  def write(*strings)
    strings.each do |string|
      writer << string
      snooze
    end
    writer.close
  end

  it "passes what comes in to a method, with the block", :gc do
    spin { write("one\nt", "wo\nth", "ree\n") }
    lines = []
    expect(reader.feed_loop(parser, :feed_each) { |line| lines << line }).to be(reader)
    expect(lines).to eq(%w[one two three])
  end

  it "calls a Proc" do
    spin { write("one", "two") }
    chunks = []
    expect(reader.feed_loop(chunks.method(:<<))).to be(reader)
    expect(chunks.join).to eq("onetwo")
  end

  it "passes on binary Strings of 8192 bytes at most" do
    write("x" * 10_000)
    chunks = []
    reader.feed_loop(->(chunk) { chunks << chunk })
    expect(chunks.map { |chunk| [chunk.bytesize, chunk.encoding] })
      .to eq([[8192, Encoding::BINARY], [1808, Encoding::BINARY]])
  end

  it "passes on first what Ruby has read ahead" do
    write("line\nahead")
    reader.gets
    output = StringIO.new
    reader.feed_loop(output, "write")
    expect(output.string).to eq("ahead")
  end

  it "is left by break in the block, with its value" do
    write("one\ntwo\n")
    expect(reader.feed_loop(parser, :feed_each) { |line| break line }).to eq("one")
  end

  it "lets the receiver's exceptions through, and takes nothing more" do
    writer << "abc"
    expect { reader.feed_loop(->(_) { raise KeyError }) }.to raise_error(KeyError)
    writer << "next"
    expect(reader.readpartial(10)).to eq("next")
  end

  it "ends by a timeout of the machine" do
    expect { interrupt_after(0.01) { reader.feed_loop(parser, :feed_each) } }
      .to raise_error(SpecSupport::InPolyphony::Interrupted)
  end

  it "ends with an IOError when the IO is closed" do
    feeding = spin { reader.feed_loop(parser, :feed_each) }
    snooze
    reader.close
    expect { feeding.await }.to raise_error(IOError, /closed/)
  end

  describe "bad input" do
    before { writer << "abc" }

    it("refuses a name that is none") { expect { reader.feed_loop(parser, 1) }.to raise_error(TypeError) }

    it "raises where the receiver has no such method, or a private one" do
      expect { reader.feed_loop(parser) }.to raise_error(NoMethodError)
      writer << "abc"
      expect { reader.feed_loop(parser, :hidden) }.to raise_error(NoMethodError)
    end

    it "raises for an IO that is not open for reading" do
      expect { writer.feed_loop(parser, :feed_each) }.to raise_error(IOError)
    end
  end

  describe "on an SSLSocket" do
    include SpecSupport::TLS

    # Two ends that have shaken hands, server first.
    def connect
      ends = UNIXSocket.pair.zip([server_context, client_context])
      server, client = ends.map { |socket, context| OpenSSL::SSL::SSLSocket.new(socket, context) }
      [server, client].each { |ssl| ssl.sync_close = true }
      accepting = spin { server.accept }
      spin { client.connect }.await
      accepting.await
      [server, client]
    end

    def send_all(ssl, *strings)
      strings.each { |string| ssl.write(string) and snooze }
      ssl.close
    end

    it "passes on what was decrypted" do
      server, client = connect
      sending = spin { send_all(client, "one\nt", "wo\n") }
      lines = []
      feeding = spin { server.feed_loop(parser, :feed_each) { |line| lines << line } }
      expect(feeding.await).to be(server)
      expect(lines).to eq(%w[one two])
      sending.await
      server.close
    end

    it "has read_loop and recv_loop as well" do
      %i[read_loop recv_loop].each do |name|
        server, client = connect
        sending = spin { send_all(client, "line\nab", "c") }
        reading = spin do
          server.gets
          [].tap { |chunks| server.public_send(name, 2) { |chunk| chunks << chunk } }
        end
        expect(reading.await.join).to eq("abc")
        sending.await
        server.close
      end
    end

    it "is there whenever openssl is loaded, which is left to others" do
      polyphony = 'require "polyphony"'
      openssl = 'require "openssl"'
      autoload = 'autoload :OpenSSL, "openssl"'
      unloaded = "abort $LOADED_FEATURES.join unless $LOADED_FEATURES.grep(/openssl/).empty?"
      others = "Class.new { const_set(:SSL, const_set(:OTHER, 1)) }"
      [[openssl, polyphony], [polyphony, unloaded, openssl], [polyphony, others, openssl],
       [autoload, polyphony], [polyphony, autoload, unloaded]].each do |lines|
        outcome = ruby_program([*lines, "p OpenSSL::SSL::SSLSocket.method_defined?(:feed_loop)"].join("\n"))
        expect(outcome.stdout).to eq("true\n"), outcome.to_s
      end
    end

    it "lets other fibers run while the root fiber reads" do
      outcome = ruby_program(<<~RUBY)
        require "openssl"
        require "polyphony"
        require #{File.expand_path("../support/tls", __dir__).dump}
        extend SpecSupport::TLS

        ends = UNIXSocket.pair
        server = OpenSSL::SSL::SSLSocket.new(ends[0], server_context)
        client = OpenSSL::SSL::SSLSocket.new(ends[1], client_context)
        accepting = spin { server.accept }
        sending = spin do
          client.connect
          client << "one"
          snooze
          client << "two"
          client.close
        end
        accepting.await
        chunks = []
        server.read_loop { |chunk| chunks << chunk }
        p chunks.join
      RUBY
      expect(outcome.stdout).to eq(%("onetwo"\n)), outcome.to_s
    end

    it "is left by break" do
      server, client = connect
      sending = spin { send_all(client, "abc") }
      expect(spin { server.read_loop { |chunk| break chunk } }.await).to eq("abc")
      sending.await
      server.close
    end

    it "needs a block for read_loop" do
      server, client = connect
      expect { server.read_loop }.to raise_error(LocalJumpError)
      [server, client].each { |ssl| ssl.to_io.close }
    end
  end
end
