# frozen_string_literal: true

require_relative "../support/resp_helpers"

RSpec.describe UM::IO, "resp_read" do
  include SpecSupport::MachineHelpers
  include SpecSupport::RESPHelpers

  # The only reply of these bytes.
  def reply(text, ...)
    feed(text)
    soon { io.resp_read(...) }
  end

  describe "of each type" do
    {
      "+OK\r\n" => "OK",
      "+\r\n" => "",
      "$5\r\nhe\r\no\r\n" => "he\r\no",
      "$0\r\n\r\n" => "",
      ":42\r\n" => 42,
      ":+1\r\n" => 1,
      ":-9223372036854775808\r\n" => -(2**63),
      ":9223372036854775807\r\n" => (2**63) - 1,
      "(3492890328409238509324850943850943825024385\r\n" =>
        3_492_890_328_409_238_509_324_850_943_850_943_825_024_385,
      "(-1\r\n" => -1,
      "(+0\r\n" => 0,
      ",42.1\r\n" => 42.1,
      ",10\r\n" => 10.0,
      ",-1.5E-300\r\n" => -1.5e-300,
      ",4.9406564584124654e-324\r\n" => 5e-324,
      ",inf\r\n" => Float::INFINITY,
      ",-inf\r\n" => -Float::INFINITY,
      "_\r\n" => nil,
      "$-1\r\n" => nil,
      "*-1\r\n" => nil,
      "#t\r\n" => true,
      "#f\r\n" => false,
      "*0\r\n" => [],
      "*3\r\n:1\r\n$1\r\na\r\n*1\r\n_\r\n" => [1, "a", [nil]],
      "~2\r\n:1\r\n:1\r\n" => [1, 1],
      ">2\r\n+message\r\n+text\r\n" => %w[message text],
      "%0\r\n" => {},
      "%2\r\n+a\r\n:1\r\n*1\r\n:2\r\n%1\r\n_\r\n#t\r\n" => { "a" => 1, [2] => { nil => true } },
      "|1\r\n+ttl\r\n:3600\r\n+value\r\n" => "value",
      "*2\r\n|1\r\n+ttl\r\n:1\r\n:5\r\n:6\r\n" => [5, 6],
      "%1\r\n|1\r\n+a\r\n+b\r\n+k\r\n|0\r\n+v\r\n" => { "k" => "v" },
      "*?\r\n:1\r\n*?\r\n.\r\n.\r\n" => [1, []],
      "~?\r\n:1\r\n.\r\n" => [1],
      "%?\r\n+a\r\n:1\r\n.\r\n" => { "a" => 1 },
      "$?\r\n;4\r\nHell\r\n;1\r\no\r\n;0\r\n" => "Hello",
      "*1\r\n$?\r\n;0\r\n" => [""]
    }.each do |text, object|
      it "gives #{object.inspect} for #{text.inspect}" do
        expect(reply(text)).to eql(object)
        expect([io.pending, io.consumed]).to eq([0, text.bytesize])
      end

      it "gives #{object.inspect} for #{text.inspect} byte by byte" do
        machine.spin { text.each_char { |char| write_all(char).then { machine.snooze } } }
        expect(soon { io.resp_read }).to eql(object)
      end
    end

    it "gives a NaN" do
      expect(reply(",nan\r\n")).to be_nan
    end

    it "gives errors, which it doesn't raise" do
      feed("-ERR unknown command 'foo'\r\n", "!9\r\nSYNTAX a\n\r\n", "*1\r\n-WRONGTYPE x\r\n")
      errors = [io.resp_read, io.resp_read, io.resp_read.first]
      expect(errors).to all(be_an_instance_of(UM::IO::RESPError))
      expect(errors.map(&:message)).to eq(["ERR unknown command 'foo'", "SYNTAX a\n", "WRONGTYPE x"])
      expect(UM::IO::RESPError.ancestors).to include(StandardError)
    end

    it "gives binary Strings, and verbatim ones in UTF-8 without their format" do
      strings = reply("*4\r\n+a\u00e9\r\n$3\r\na\u00e9\r\n=7\r\ntxt:a\u00e9\r\n=6\r\nmkd:**\r\n")
      encodings = [Encoding::BINARY, Encoding::BINARY, Encoding::UTF_8, Encoding::UTF_8]
      expect(strings.map(&:encoding)).to eq(encodings)
      expect(strings).to eq(["a\u00e9".b, "a\u00e9".b, "a\u00e9", "**"])
      expect(strings).to all(be_valid_encoding)
    end

    it "gives Strings that share nothing" do
      strings = reply("*3\r\n$3\r\nfoo\r\n$3\r\nfoo\r\n$3\r\nfoo\r\n")
      strings.first << "!"
      strings.last.clear
      expect(strings).to eq(["foo!", "foo", ""])
    end

    it "takes the last value of a key that comes twice" do
      expect(reply("%2\r\n+a\r\n:1\r\n+a\r\n:2\r\n")).to eq("a" => 2)
    end

    it "gives no attribute as a reply" do
      expect(replies("|1\r\n+a\r\n+b\r\n:1\r\n|0\r\n*2\r\n|1\r\n+c\r\n+d\r\n:2\r\n:3\r\n")).to eq([1, [2, 3]])
    end

    it "reads RESP over TLS records, sockets and files alike" do
      fd, other = socketpair
      machine.send(other, "$3\r\nfoo\r\n", -1, 0)
      socket = machine.io(fd, :socket)
      expect(socket.resp_read).to eq("foo")
      socket.clear
      text = machine.open(file("*1\r\n:7\r\n"), UM::O_RDONLY)
      expect(machine.io(keep(text)).resp_read).to eq([7])
    end
  end

  describe "with attributes" do
    # The reply, and what the block has got.
    def told(text)
      feed(text)
      seen = []
      reply = soon { io.resp_read { |attribute, value| seen << [attribute, value] } }
      [reply, seen]
    end

    it "yields each with the value behind it" do
      expect(told("|1\r\n+ttl\r\n:3600\r\n+value\r\n")).to eq(["value", [[{ "ttl" => 3600 }, "value"]]])
      nested = "*3\r\n:1\r\n|1\r\n+ttl\r\n:9\r\n:2\r\n%1\r\n|0\r\n+k\r\n|1\r\n+a\r\n+b\r\n*1\r\n:3\r\n"
      seen = [[{ "ttl" => 9 }, 2], [{}, "k"], [{ "a" => "b" }, [3]]]
      expect(told(nested)).to eq([[1, 2, { "k" => [3] }], seen])
    end

    it "yields several about one value, and one about another, in the order of the stream" do
      text = "|1\r\n+a\r\n|1\r\n+b\r\n:1\r\n:2\r\n|1\r\n+c\r\n:3\r\n%1\r\n+k\r\n+v\r\n"
      hash = { "k" => "v" }
      expect(told(text)).to eq([hash, [[{ "b" => 1 }, 2], [{ "a" => 2 }, hash], [{ "c" => 3 }, hash]]])
    end

    it "yields them for every kind of value" do
      { "_\r\n" => nil, "#t\r\n" => true, ",1.5\r\n" => 1.5, "(12\r\n" => 12, "=5\r\ntxt:x\r\n" => "x",
        "*0\r\n" => [], "%0\r\n" => {}, "$?\r\n;1\r\na\r\n;0\r\n" => "a",
        "$200000\r\n#{"x" * 200_000}\r\n" => "x" * 200_000 }.each do |text, value|
        expect(told("|1\r\n+a\r\n:1\r\n#{text}") == [value, [[{ "a" => 1 }, value]]]).to be(true), text[0, 30]
      end
      error, seen = told("|0\r\n-ERR no\r\n")
      expect(seen).to eq([[{}, error]])
    end

    it "has nothing for one at the end of a streamed array" do
      expect(told("*?\r\n:1\r\n|0\r\n.\r\n+next\r\n")).to eq([[1], [[{}, nil]]])
      expect(told("")).to eq(["next", []])
    end

    it "yields nothing where there are none, and nothing of the reply before" do
      feed("|1\r\n+a\r\n:1\r\n:2\r\n")
      expect([soon { io.resp_read }, told(":3\r\n")]).to eq([2, [3, []]])
      expect([told("|0\r\n:4\r\n"), told(":5\r\n")]).to eq([[4, [[{}, 4]]], [5, []]])
    end

    it "keeps them when it is interrupted within the reply" do
      feed("|1\r\n+a\r\n:1\r\n")
      expect(machine.timeout(0.01, :late) { io.resp_read { raise "too early" } }).to eq(:late)
      expect { io.read(1) }.to raise_error(UM::Error, /in the middle of a RESP reply/)
      expect(told("*1\r\n|0\r\n:2\r\n")).to eq([[2], [[{ "a" => 1 }, [2]], [{}, 2]]])
    end

    it "hands on what the block raises, and what it breaks with; the next reply comes next" do
      feed("|0\r\n:1\r\n|0\r\n:2\r\n:3\r\n")
      expect { soon { io.resp_read { raise "no" } } }.to raise_error("no")
      expect([io.resp_read { |_, value| break value + 10 }, io.resp_read]).to eq([12, 3])
    end

    it "keeps them apart where the block lets another fiber read", :gc do
      feed("|0\r\n:1\r\n|1\r\n+a\r\n:0\r\n:2\r\n")
      seen = []
      fibers = Array.new(2) do
        machine.spin { io.resp_read { |*both| machine.snooze.then { seen << both } } }
      end
      expect([machine.join(fibers), seen]).to eq([[1, 2], [[{}, 1], [{ "a" => 0 }, 2]]])
    end
  end

  describe "of much" do
    it "reads a pipeline of replies in any pieces", :gc do
      count = ENV.key?("GC_MODE") ? 20 : 300
      many = Array.new(count) { |index| "$#{index}\r\n#{"x" * index}\r\n*2\r\n:#{index}\r\n+s\r\n" }.join
      pieces = many.scan(/.{1,3001}/m)
      seen = replies(*pieces)
      expect(seen).to eq(Array.new(count) { |index| ["x" * index, [index, "s"]] }.flatten(1))
    end

    # What the kernel fills has 16 KB.
    it "reads on at once where a buffer ends between two elements" do
      (16_355..16_390).each do |size|
        text = "*2\r\n$#{size}\r\n#{"x" * size}\r\n:7\r\n"
        write_all(text)
        expect(soon(2) { io.resp_read }).to eq(["x" * size, 7])
      end
    end

    it "reads long strings wherever they are" do
      long = Random.new(1).bytes(300_000)
      text = "*2\r\n$#{long.bytesize}\r\n#{long}\r\n%1\r\n+k\r\n!#{long.bytesize}\r\n#{long}\r\n".b
      string, hash = reply(text)
      expect(string == long).to be(true)
      expect(hash["k"].message.b == long).to be(true)
    end

    it "reads a streamed string of large chunks" do
      chunk = "c" * 70_000
      text = "$?\r\n#{";70000\r\n#{chunk}\r\n" * 3};0\r\n:1\r\n"
      expect(replies(text)).to eq([chunk * 3, 1])
    end

    it "reads a long verbatim string" do
      text = "\u00e9" * 50_000
      read = reply("=#{text.bytesize + 4}\r\ntxt:#{text}\r\n")
      expect([read.encoding, read == text]).to eq([Encoding::UTF_8, true])
    end

    it "reads a large map" do
      pairs = Array.new(20_000) { |index| "$4\r\nk#{index.to_s.rjust(3, "0")[-3..]}\r\n:#{index}\r\n" }
      hash = reply("%#{pairs.size}\r\n#{pairs.join}")
      expect([hash.size, hash["k007"], hash["k999"]]).to eq([1000, 19_007, 19_999])
    end

    it "reserves nothing for what was only announced" do
      resident = -> { File.read("/proc/self/status")[/^VmRSS:\s+(\d+)/, 1].to_i }
      before = resident.call
      feed("*18446744073709551615\r\n*4294967296\r\n%1000000000\r\n$536870912\r\nabc")
      expect(machine.timeout(0.05, :late) { io.resp_read }).to eq(:late)
      expect(resident.call - before).to be < 100_000
    end
  end

  describe "at the end" do
    it "gives nil between replies, again and again" do
      expect(replies("+a\r\n")).to eq(["a"])
      expect([io.resp_read, io.resp_read, io.eof?]).to eq([nil, nil, true])
    end

    ["+OK", "+OK\r", "$", "$3\r\n", "$3\r\nfo", "$3\r\nfoo\r", "*1\r\n", "*2\r\n:1\r\n", "%1\r\n+a\r\n",
     "|0\r\n", "|1\r\n+a\r\n:1\r\n", "|0\r\n*1\r\n", "$?\r\n;1\r\na\r\n",
     "$200000\r\n#{"x" * 150_000}"].each do |text|
      it "raises EOFError behind #{text[0, 30].inspect}, again and again" do
        expect { replies(text) }.to raise_error(EOFError, "the stream has ended within a RESP reply")
        expect { io.resp_read }.to raise_error(EOFError)
      end
    end
  end

  describe "of what is no RESP" do
    {
      "HTTP/1.1 400\r\n" => /no value begins with 'H'/,
      "\r\n" => /no value begins/,
      "+a\nb\r\n" => /does not end in CR LF/,
      ":1.5\r\n" => /malformed integer/,
      ":9223372036854775808\r\n" => /malformed integer/,
      ",1,5\r\n" => /malformed double/,
      "(0x10\r\n" => /malformed big number/,
      "#y\r\n" => /malformed boolean/,
      "_x\r\n" => /malformed null/,
      "$-2\r\n" => /malformed length/,
      "*2x\r\n" => /malformed length/,
      "$3\r\nfooo\r\n" => /does not end where its length says/,
      "=3\r\ntxt\r\n" => /no format/,
      ".\r\n" => /an end without/,
      "*1\r\n;1\r\na\r\n" => /chunks/,
      "%?\r\n+a\r\n.\r\n" => /ends after a key/
    }.each do |text, message|
      it "raises for #{text.inspect}, and from then on" do
        feed("+before\r\n", text, "+behind\r\n")
        expect(io.resp_read).to eq("before")
        2.times { expect { soon { io.resp_read } }.to raise_error(UM::Error, message) }
      end
    end

    it "begins anew when it was cleared" do
      feed("*2\r\n:1\r\n?\r\n")
      expect { io.resp_read }.to raise_error(UM::Error)
      io.clear
      expect(reply("+OK\r\n")).to eq("OK")
    end
  end

  describe "limits" do
    def nested(depth) = "#{"*1\r\n" * depth}:1\r\n"

    it "are 128 levels" do
      expect(reply(nested(128)).flatten).to eq([1])
      expect { reply(nested(129)) }.to raise_error(UM::Error, "RESP: more than 128 levels of nesting")
    end

    it "are 512 MB for a string" do
      expect { reply("$536870913\r\n") }.to raise_error(UM::Error, /longer than 536870912 bytes/)
    end

    it "are 64 KB for a line" do
      expect(reply("+#{"x" * 65_536}\r\n").bytesize).to eq(65_536)
      expect { reply("+#{"x" * 65_537}\r\n") }.to raise_error(UM::Error, /longer than 65536 bytes/)
    end

    it "can be chosen for each reply" do
      feed(nested(200), "$6\r\nfoobar\r\n", "+foobar\r\n", "$6\r\nfoobar\r\n")
      expect(io.resp_read(max_nesting: 200).flatten).to eq([1])
      expect(io.resp_read(max_string: 6)).to eq("foobar")
      expect(io.resp_read(max_line: 6)).to eq("foobar")
      expect { io.resp_read(max_string: 5) }.to raise_error(UM::Error, /longer than 5 bytes/)
    end

    it "stay as they were for a reply that has begun" do
      feed("*1\r\n")
      expect(machine.timeout(0.05, :late) { io.resp_read(max_string: 5) }).to eq(:late)
      expect { reply("$6\r\nfoobar\r\n") }.to raise_error(UM::Error, /longer than 5 bytes/)
    end

    it "count the chunks of a streamed string together" do
      text = "$?\r\n;3\r\nfoo\r\n;3\r\nbar\r\n;0\r\n"
      expect { reply(text, max_string: 5) }.to raise_error(UM::Error, /longer than 5 bytes/)
    end

    it "are Integers and not negative" do
      expect { io.resp_read(max_nesting: -1) }.to raise_error(ArgumentError)
      expect { io.resp_read(max_string: "1") }.to raise_error(TypeError)
      expect { io.resp_read(max_line: 2**70) }.to raise_error(RangeError)
      expect { io.resp_read(most: 1) }.to raise_error(ArgumentError, /unknown keyword: :most/)
      expect { io.resp_read(1) }.to raise_error(ArgumentError)
    end
  end

  describe "interrupted" do
    let(:text) do
      "*4\r\n$3\r\nfoo\r\n%1\r\n=8\r\ntxt:keys\r\n(99999999999999999999\r\n$?\r\n;2\r\nab\r\n;0\r\n-ERR\r\n"
    end

    # Interrupts the reader behind each byte.
    def read_with_interruptions
      text.each_char do |char|
        reader = parked { io.resp_read }
        write_all(char)
        snooze
        return machine.join(reader) if reader.done?

        machine.schedule(reader, SpecSupport::MachineHelpers::Stop.new)
        machine.join(reader)
      end
      io.resp_read
    end

    it "loses nothing, wherever that was" do
      *read, error = soon { read_with_interruptions }
      expect(read).to eq(["foo", { "keys" => 99_999_999_999_999_999_999 }, "ab"])
      expect(error.message).to eq("ERR")
    end

    it "loses nothing of a long string" do
      long = "x" * 500_000
      begun = feed("$500000\r\n#{long[0, 200_000]}")
      expect(machine.timeout(0.1, :late) { io.resp_read }).to eq(:late)
      GC.start
      soon { machine.join(begun) }
      feed("#{long[200_000..]}\r\n:1\r\n")
      expect([soon { io.resp_read } == long, soon { io.resp_read }]).to eq([true, 1])
    end

    it "lets nothing else be read amid a reply" do
      feed("*2\r\n$3\r\nfoo\r\n$3\r\nb")
      expect { machine.timeout(0.05, Timeout::Error) { io.resp_read } }.to raise_error(Timeout::Error)
      ways = [-> { io.read(1) }, -> { io.read(0) }, -> { io.read_line(0) }, -> { io.read_to_delim("r", 0) },
              -> { io.skip(1) }, -> { io.read_each { nil } }]
      ways.each { |way| expect { soon(&way) }.to raise_error(UM::Error, /in the middle of a RESP reply/) }
      expect(reply("ar\r\n")).to eq(%w[foo bar])
      feed("line\n")
      expect(soon { io.read_line(0) }).to eq("line")
    end

    it "lets other things be read between replies" do
      feed("+a\r\nline\n+b\r\n")
      expect([io.resp_read, io.read_line(0), io.resp_read]).to eq(%w[a line b])
    end

    it "drops what it has of a reply when cleared" do
      feed("*2\r\n$3\r\nfoo\r\n")
      expect(machine.timeout(0.05, :late) { io.resp_read }).to eq(:late)
      io.clear
      expect(reply("+new\r\n")).to eq("new")
    end

    it "reads for several fibers in turn" do
      readers = Array.new(3) { parked { Array.new(50) { io.resp_read } } }
      feed(Array.new(150) { |index| "*1\r\n:#{index}\r\n" }.join)
      read = soon { machine.join(*readers) }
      expect(read.flatten.sort).to eq([*0...150])
    end
  end

  describe "when a program's own method is called to make a Hash" do
    # Errors may be keys, and a program may have changed how they are hashed.
    def while_hashing(action)
      UM::IO::RESPError.define_method(:hash) { action.call && 1 }
      yield
    ensure
      UM::IO::RESPError.remove_method(:hash)
    end

    let(:text) { "*1\r\n%1\r\n-E\r\n+v\r\n" }

    it "goes on when that switches fibers" do
      feed(text, ":1\r\n")
      hashing = -> { GC.start || machine.sleep(0.001) || 1 }
      hash, = while_hashing(hashing) { soon { io.resp_read } }
      expect([hash.keys.map(&:message), hash.values, soon { io.resp_read }]).to eq([["E"], ["v"], 1])
    end

    it "tries again when that raises" do
      feed(text, ":1\r\n")
      2.times do
        failing = -> { raise KeyError, "no hash" }
        expect { while_hashing(failing) { soon { io.resp_read } } }.to raise_error(KeyError)
      end
      expect([soon { io.resp_read }.first.values, soon { io.resp_read }]).to eq([["v"], 1])
    end

    it "drops the Hash when that clears the IO" do
      feed(text)
      clearing = lambda do
        io.clear
        write_all("+new\r\n")
        1
      end
      expect(while_hashing(clearing) { soon { io.resp_read } }).to eq("new")
    end
  end
end
