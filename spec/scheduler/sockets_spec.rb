# frozen_string_literal: true

require "socket"
require "tmpdir"
require_relative "../support/scheduled"

RSpec.describe "UM::FiberScheduler: sockets" do
  let(:server) { TCPServer.new("127.0.0.1", 0) }
  let(:port) { server.local_address.ip_port }

  def connect = TCPSocket.new("127.0.0.1", port)

  # A port that nobody listens on.
  def free_port = TCPServer.open("127.0.0.1", 0) { |unused| unused.local_address.ip_port }

  before { port }
  after { server.close }

  it "accepts and connects over TCP" do
    answer, request = in_fibers(
      lambda {
        client = connect
        client.puts("hello")
        client.gets.tap { client.close }
      },
      lambda {
        peer = server.accept
        peer.gets.tap { |line| peer.puts(line.upcase) && peer.close }
      }
    )
    expect([request, answer]).to eq(["hello\n", "HELLO\n"])
  end

  it "serves 100 connections at a time" do
    serve = lambda do
      peers = Array.new(100) { server.accept }
      peers.each { |peer| peer.write(peer.gets) }.each(&:close)
      peers.size
    end
    clients = Array.new(100) do |number|
      lambda do
        client = connect
        client.puts(number)
        client.read.tap { client.close }
      end
    end
    served, *answers = in_fibers(serve, *clients)
    expect(served).to eq(100)
    expect(answers).to eq((0...100).map { |number| "#{number}\n" })
  end

  it "raises ECONNREFUSED where nobody listens" do
    port = free_port
    errors = in_fiber do
      [error_of { TCPSocket.new("127.0.0.1", port) }, error_of { Socket.tcp("127.0.0.1", port) },
       error_of { Addrinfo.tcp("127.0.0.1", port).connect }]
    end
    expect(errors.map(&:class)).to eq([Errno::ECONNREFUSED] * 3)
  end

  it "does Socket.tcp, with and without a time limit" do
    texts = in_fibers(
      -> { Array.new(2) { server.accept.tap { |peer| peer << "x" }.close }.size },
      -> { Socket.tcp("127.0.0.1", port, &:read) },
      -> { Socket.tcp("127.0.0.1", port, connect_timeout: 10, &:read) }
    )
    expect(texts).to eq([2, "x", "x"])
  end

  it "does accept_nonblock" do
    results = in_fiber do
      early = [server.accept_nonblock(exception: false), error_of { server.accept_nonblock }.class]
      client = connect
      server.wait_readable
      peer = server.accept_nonblock
      client.close
      early << peer.read << peer.close
    end
    expect(results).to eq([:wait_readable, IO::EAGAINWaitReadable, "", nil])
  end

  it "does connect_nonblock" do
    results = in_fiber do
      socket = Socket.new(:INET, :STREAM)
      begin
        socket.connect_nonblock(server.local_address)
      rescue IO::WaitWritable
        socket.wait_writable
      end
      again = error_of { socket.connect_nonblock(server.local_address) }
      peer = server.accept
      peer.close
      [again.class, socket.read, socket.close]
    end
    expect([[Errno::EISCONN, "", nil], [NilClass, "", nil]]).to include(results)
  end

  it "does Socket#accept, #connect and addresses" do
    listening = Socket.new(:INET, :STREAM)
    listening.bind(Addrinfo.tcp("127.0.0.1", 0))
    listening.listen(5)
    (peer, address), client = in_fibers(
      -> { listening.accept },
      -> { Socket.new(:INET, :STREAM).tap { |socket| socket.connect(listening.local_address) } }
    )
    expect(address.ip_port).to eq(client.local_address.ip_port)
    [peer, client, listening].each(&:close)
  end

  it "does sysaccept" do
    fd, = in_fibers(-> { server.sysaccept }, -> { connect.close })
    expect(IO.for_fd(fd).tap(&:close)).to be_closed
  end

  it "half-closes" do
    request, answer = in_fibers(
      lambda {
        peer = server.accept
        peer.read.tap { |text| peer.write(text.reverse) && peer.close }
      },
      lambda {
        client = connect
        client.write("abc")
        client.close_write
        client.read.tap { client.close }
      }
    )
    expect([request, answer]).to eq(%w[abc cba])
  end

  it "raises ECONNRESET for a peer that has reset the connection" do
    client = connect
    peer = server.accept
    client.setsockopt(Socket::Option.linger(true, 0))
    error, = in_fibers(-> { error_of { peer.read } }, -> { sleep(0).then { client.close } })
    peer.close
    expect(error).to be_a(Errno::ECONNRESET)
  end

  it "does send, recv, sendmsg and recvmsg" do
    left, right = UNIXSocket.pair
    results = in_fibers(
      -> { [left.recv(3), left.recvmsg(10).first, left.recv(1)] },
      -> { [right.send("abc", 0), sleep(0), right.sendmsg("defg"), sleep(0), right.close] }
    )
    left.close
    received = results.first.map(&:to_s)
    expect(received).to eq(["abc", "defg", ""])
  end

  it "does recv_nonblock and read_nonblock" do
    left, right = UNIXSocket.pair
    results = in_fiber do
      early = [left.recv_nonblock(3, exception: false), left.read_nonblock(3, exception: false)]
      right << "abcdef"
      early << left.recv_nonblock(3) << left.read_nonblock(3)
    end
    [left, right].each(&:close)
    expect(results).to eq([:wait_readable, :wait_readable, "abc", "def"])
  end

  it "peeks" do
    left, right = UNIXSocket.pair
    texts, = in_fibers(-> { [left.recv(2, Socket::MSG_PEEK), left.recv(4)] }, -> { right << "abcd" })
    [left, right].each(&:close)
    expect(texts).to eq(%w[ab abcd])
  end

  it "does datagrams" do
    receiver = UDPSocket.new.tap { |socket| socket.bind("127.0.0.1", 0) }
    sender = UDPSocket.new.tap { |socket| socket.connect("127.0.0.1", receiver.local_address.ip_port) }
    (received, answer), = in_fibers(
      lambda {
        text, address = receiver.recvfrom(100)
        receiver.send("re: #{text}", 0, address[3], address[1])
        [text, receiver.recvfrom_nonblock(1, exception: false)]
      },
      -> { sender.send("question", 0) }
    )
    texts = in_fiber { sender.recvfrom(100).first }
    [sender, receiver].each(&:close)
    expect([received, answer, texts]).to eq(["question", :wait_readable, "re: question"])
  end

  it "does Unix sockets" do
    Dir.mktmpdir do |folder|
      path = "#{folder}/socket"
      listening = UNIXServer.new(path)
      answer, = in_fibers(
        -> { UNIXSocket.open(path, &:gets) },
        -> { listening.accept.tap { |peer| peer.puts("hi") }.close }
      )
      listening.close
      expect(answer).to eq("hi\n")
    end
  end

  it "passes descriptors" do
    left, right = UNIXSocket.pair
    reader, writer = IO.pipe
    text, = in_fibers(
      -> { left.recv_io.then { |io| io.read.tap { io.close } } },
      lambda {
        right.send_io(reader)
        writer << "through"
        writer.close
      }
    )
    [left, right, reader].each(&:close)
    expect(text).to eq("through")
  end

  it "does Socket.tcp_server_loop's parts" do
    sockets = Socket.tcp_server_sockets("127.0.0.1", 0)
    port = sockets.first.local_address.ip_port
    text, = in_fibers(
      -> { Socket.tcp("127.0.0.1", port, &:read) },
      lambda {
        Socket.accept_loop(sockets) do |peer, _|
          peer << "served"
          peer.close
          break
        end
      }
    )
    sockets.each(&:close)
    expect(text).to eq("served")
  end

  it "accepts in several fibers, each connection once" do
    accepting = Array.new(5) { -> { server.accept.then { |peer| peer.gets.tap { peer.close } } } }
    connecting = Array.new(5) { |number| -> { connect.tap { |client| client.puts(number) }.close } }
    lines = in_fibers(*accepting, *connecting).first(5)
    expect(lines.sort).to eq((0...5).map { |number| "#{number}\n" })
  end

  it "reads and writes one socket from two fibers" do
    left, right = UNIXSocket.pair
    data = "x" * 1_000_000
    received = in_fibers(
      -> { left.write(data) && left.close_write }, -> { left.read },
      -> { right.write(data) && right.close_write }, -> { right.read }
    ).values_at(1, 3)
    [left, right].each(&:close)
    expect(received.map(&:size)).to eq([data.size] * 2)
  end

  it "interrupts a fiber that accepts when the server closes", if: RUBY_VERSION >= "4.0" do
    error, = in_fibers(-> { error_of { server.accept } }, -> { sleep(0).then { server.close } })
    expect(error).to be_a(IOError)
  end
end
