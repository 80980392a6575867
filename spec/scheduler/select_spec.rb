# frozen_string_literal: true

require "socket"
require_relative "../support/scheduled"

# rubocop:disable Lint/IncompatibleIoSelectWithFiberScheduler
RSpec.describe "UM::FiberScheduler: IO.select" do
  let!(:pipes) { Array.new(3) { IO.pipe } }
  let(:readers) { pipes.map(&:first) }
  let(:writers) { pipes.map(&:last) }

  # Names of the pipes' ends: :r0, :w0 …
  def names(value)
    ends = pipes.each_with_index.flat_map { |pair, index| [[:"r#{index}", pair[0]], [:"w#{index}", pair[1]]] }
    named(value, **ends.to_h)
  end

  after { pipes.flatten.each(&:close) }

  it "takes one to four arguments" do
    writers[1] << "x"
    results = in_fiber do
      [IO.select(readers), IO.select(readers, [writers[0]]), IO.select(readers, nil, readers),
       IO.select(readers, nil, nil, 5), IO.select(nil, writers, nil, 5), IO.select([], writers)]
    end
    one = [[:r1], [], []]
    all = [[], %i[w0 w1 w2], []]
    expect(names(results)).to eq([one, [[:r1], [:w0], []], one, one, all, all])
  end

  it "gives all that are ready" do
    writers.each { |writer| writer << "x" }
    expect(names(in_fiber { IO.select(readers, writers) })).to eq([%i[r0 r1 r2], %i[w0 w1 w2], []])
  end

  it "waits for the first one, while others run" do
    result, = in_fibers(-> { IO.select(readers) }, -> { 3.times { sleep 0 } && writers[2].write("x") })
    expect(names(result)).to eq([[:r2], [], []])
  end

  it "has room in the queue of a small machine, as every hook has" do
    small = Class.new(UM::FiberScheduler) { define_method(:initialize) { super(UM.new(size: 1)) } }
    selecting = -> { names(IO.select(readers)) }
    waiting = [-> { readers[1].readpartial(1) }, -> { readers[2].wait_readable }]
    writing = -> { writers[1].write("x") && writers[2].write("y") }
    results = in_fibers(selecting, waiting, writing, scheduler: small)
    expect(results.values_at(1, 2, 3)).to eq(["x", readers[2], 1])
    expect(results.first.first).to include(:r1).or include(:r2)
  end

  it "gives nil past the timeout, at once with 0" do
    results = in_fiber { [IO.select(readers, nil, nil, 0.001), IO.select(readers, nil, nil, 0)] }
    expect(names(results)).to eq([nil, nil])
  end

  it "gives what is there with timeout 0" do
    writers[0] << "x"
    expect(names(in_fiber { IO.select(readers, nil, nil, 0) })).to eq([[:r0], [], []])
  end

  it "gives nil for empty lists when the time is over" do
    expect(in_fiber { [IO.select([], [], [], 0.001), IO.select(nil, nil, nil, 0)] }).to eq([nil, nil])
  end

  it "sees what Ruby has buffered as readable" do
    results = in_fiber do
      writers[0].write("a\nb\n")
      [readers[0].gets, IO.select(readers, nil, nil, 5), readers[0].gets, IO.select(readers, nil, nil, 0)]
    end
    expect(names(results)).to eq(["a\n", [[:r0], [], []], "b\n", nil])
  end

  it "sees both what is buffered and what is not" do
    result = in_fiber do
      writers[0].write("a\nb\n")
      readers[0].gets
      writers[1].write("x")
      IO.select(readers, [writers[2]], nil, 5)
    end
    expect(names(result)).to eq([%i[r0 r1], [:w2], []])
  end

  it "sees the end of a stream as readable, and a broken pipe as writable" do
    readers[0].close
    writers[1].close
    result = in_fiber { IO.select([readers[1]], [writers[0]]) }
    expect(names(result)).to eq([[:r1], [:w0], []])
  end

  it "sees urgent data as exceptional" do
    server = TCPServer.new("127.0.0.1", 0)
    client = TCPSocket.new("127.0.0.1", server.local_address.ip_port)
    peer = server.accept
    result, = in_fibers(-> { IO.select([readers[0]], nil, [peer]) }, -> { client.send("!", Socket::MSG_OOB) })
    [server, client, peer].each(&:close)
    expect(named(result, peer:)).to eq([[], [], [:peer]])
  end

  it "takes one IO in several lists and several times" do
    left, right = UNIXSocket.pair
    right << "x"
    results = in_fiber { [IO.select([left], [left]), IO.select([left, left])] }
    [left, right].each(&:close)
    expect(named(results, left:)).to eq([[[:left], [:left], []], [%i[left left], [], []]])
  end

  it "takes what has to_io" do
    wrapper = Struct.new(:to_io)
    writers[0] << "x"
    wrapped = wrapper.new(readers[0])
    result = in_fiber { IO.select([wrapped, wrapper.new(readers[1])]) }
    expect(result.flatten.map { |ready| ready.equal?(wrapped) }).to eq([true])
  end

  it "raises for what is no IO, or closed" do
    readers[2].close
    errors = in_fiber { [[1], 1, [readers[2]]].map { |list| error_of { IO.select(list) } } }
    expect(errors.map(&:class)).to eq([TypeError, TypeError, IOError])
  end

  it "leaves nothing pending" do
    pending = in_fiber do
      writers[0] << "x"
      10.times { IO.select(readers) && IO.select(readers.last(2), nil, nil, 0.001) }
      sleep 0.001
      Fiber.scheduler.machine.metrics[:ops_pending]
    end
    expect(pending).to eq(0)
  end

  it "can be interrupted" do
    fiber = nil
    error, = in_fibers(
      -> { (fiber = Fiber.current) && error_of { IO.select(readers) } },
      -> { Fiber.scheduler.fiber_interrupt(fiber, RuntimeError.new("enough")) }
    )
    expect(error.message).to eq("enough")
  end

  it "waits in several fibers for the same descriptor" do
    waiting = Array.new(5) { -> { IO.select(readers) } }
    *results, _ = in_fibers(waiting, -> { sleep(0).then { writers[0] << "x" } })
    expect(names(results)).to eq([[[:r0], [], []]] * 5)
  end
end
# rubocop:enable Lint/IncompatibleIoSelectWithFiberScheduler
