# frozen_string_literal: true

require_relative "../support/resp_helpers"

RSpec.describe UM::IO, "resp_encode and resp_write" do
  include SpecSupport::MachineHelpers
  include SpecSupport::RESPHelpers

  def encode(object) = UM::IO.resp_encode(+"", object)

  {
    nil => "_\r\n",
    true => "#t\r\n",
    false => "#f\r\n",
    0 => ":0\r\n",
    -42 => ":-42\r\n",
    (2**62) => ":4611686018427387904\r\n",
    (2**63) - 1 => ":9223372036854775807\r\n",
    -(2**63) => ":-9223372036854775808\r\n",
    2**63 => "(9223372036854775808\r\n",
    -(10**30) => "(-1000000000000000000000000000000\r\n",
    42.1 => ",42.1\r\n",
    1.0 => ",1\r\n",
    -Float::INFINITY => ",-inf\r\n",
    "foo" => "$3\r\nfoo\r\n",
    "" => "$0\r\n\r\n",
    "\u00e9\r\n" => "$4\r\n\u00e9\r\n\r\n",
    %w[get foo] => "*2\r\n$3\r\nget\r\n$3\r\nfoo\r\n",
    [] => "*0\r\n",
    { "a" => [1, nil], 2 => {} } => "%2\r\n$1\r\na\r\n*2\r\n:1\r\n_\r\n:2\r\n%0\r\n"
  }.each do |object, text|
    it "writes #{object.inspect} as #{text.inspect}" do
      expect(encode(object).b).to eq(text.b)
    end
  end

  it "writes a NaN" do
    expect(encode(Float::NAN)).to eq(",nan\r\n")
  end

  it "appends to the String, and returns it" do
    string = +"before\u00e9"
    expect(UM::IO.resp_encode(string, ["\xff".b])).to equal(string)
    expect(string.b).to eq("before\u00e9*1\r\n$1\r\n\xff\r\n".b)
    expect([string.encoding, string.valid_encoding?]).to eq([Encoding::UTF_8, false])
  end

  it "appends a String to itself" do
    string = +"ab"
    expect(UM::IO.resp_encode(string, [string])).to eq("ab*1\r\n$2\r\nab\r\n")
  end

  it "writes the bytes of Strings of any class and encoding" do
    strange = [Class.new(String).new("a"), "b", "\u00e9".encode("UTF-16LE"), "x" * 20_000]
    texts = strange.map { |string| "$#{string.bytesize}\r\n".b + string.b + "\r\n".b }
    expect(encode(strange).b).to eq("*4\r\n".b + texts.join)
  end

  it "reads back what it has written" do
    objects = [nil, true, -1, 2**100, 0.1, 1e300, 5e-324, "x" * 100_000, { "k" => [{}, [], ""] }]
    write_all(encode(objects[0, 7]))
    feed(encode(objects))
    expect([io.resp_read, soon { io.resp_read }]).to eq([objects[0, 7], objects])
  end

  it "refuses what RESP has no form for, and leaves the String as it was" do
    string = +"before"
    [:symbol, Object.new, 1r, Time.now, UM::IO::RESPError.new("x"), 1..2].each do |object|
      [object, ["x" * 50_000, object], { object => 1 }, { 1 => [object] }].each do |whole|
        expect { UM::IO.resp_encode(string, whole) }.to raise_error(UM::Error, /RESP has no form for this/)
      end
    end
    expect(string).to eq("before")
  end

  it "refuses Arrays and Hashes that hold themselves" do
    array = []
    array << [array]
    hash = {}
    hash["self"] = { "inside" => hash }
    [array, hash].each { |whole| expect { encode(whole) }.to raise_error(UM::Error, /more than 128/) }
  end

  it "takes 128 levels, also in a fiber" do
    hash = 127.times.inject({}) { |inner, _| { "k" => inner } }
    array = 127.times.inject([]) { |inner, _| [inner] }
    expect(machine.join(machine.spin { encode(hash) })).to eq("#{"%1\r\n$1\r\nk\r\n" * 127}%0\r\n")
    expect(encode(array)).to eq("#{"*1\r\n" * 127}*0\r\n")
    expect { encode([array]) }.to raise_error(UM::Error)
  end

  it "needs a String that isn't frozen" do
    expect { UM::IO.resp_encode("", 1) }.to raise_error(FrozenError)
    expect { UM::IO.resp_encode(nil, 1) }.to raise_error(TypeError)
    expect { UM::IO.resp_encode([], 1) }.to raise_error(TypeError)
  end

  describe "resp_write" do
    let(:pair) { socketpair }
    let(:socket) { machine.io(pair.first, :socket) }

    def received(count) = as_socket(pair.last).recv(count)

    it "returns the number of bytes, sent by one op" do
      before = total_ops
      expect(socket.resp_write(%w[get foo])).to eq(22)
      expect([total_ops - before, received(100)]).to eq([1, "*2\r\n$3\r\nget\r\n$3\r\nfoo\r\n"])
    end

    it "writes on a pipe more than that has room for", :gc do
      writer = machine.io(ends.last)
      long = "x" * 300_000
      sending = machine.spin { writer.resp_write([long]) }
      expect(soon { io.resp_read }).to eq([long])
      expect(machine.join(sending)).to eq(300_000 + 15)
    end

    it "sends nothing of what it refuses" do
      expect { socket.resp_write(["a" * 100_000, :b]) }.to raise_error(UM::Error)
      expect { as_socket(pair.last).recv_nonblock(1) }.to raise_error(::IO::WaitReadable)
    end

    it "raises what the socket says" do
      close(pair.last)
      expect { socket.resp_write(1) }.to raise_error(Errno::EPIPE)
    end

    it "is interrupted where nobody reads" do
      writer = machine.io(full_socketpair.first, :socket)
      expect(machine.timeout(0.05, :late) { writer.resp_write("x" * 1000) }).to eq(:late)
    end
  end
end
