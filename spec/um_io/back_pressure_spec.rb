# frozen_string_literal: true

require_relative "../support/um_io"

RSpec.describe UM::IO, "back-pressure" do
  include SpecSupport::UMIO

  # The most that a stream takes in, and what was on the way when it was full.
  let(:most_unread) { 2 * 262_144 }

  SpecSupport::UMIO::WAYS.each do |way, names|
    describe way do
      let(:machine) { machine_without(names) }

      { "a pipe" => :pipe_source, "a socket" => :fd_source }.each do |title, kind|
        describe "on #{title}" do
          let!(:source) { public_send(kind) }
          let(:io) { source.io }

          it "stops a stream that nobody reads, and loses nothing" do
            data = Random.new(11).bytes(3_000_000)
            source.feed(data.byteslice(0, 1))
            expect(io.read(1)).to eq(data[0])
            sending = send_all(source, data.byteslice(1..), 16_384)
            before = -1
            machine.sleep(0.005) until before == (before = io.pending)
            expect([sending.done?, io.pending]).to match([be_falsy, be <= most_unread])
            expect(unread_segments).to be <= 128
            expect(soon { io.read(2_999_999) } == data.byteslice(1..)).to be(true)
            machine.join(sending)
            expect([io.read(1), unread_segments]).to eq([nil, 0])
          end

          it "goes on and stops as the reader comes and goes" do
            data = Random.new(12).bytes(3_000_000)
            sending = send_all(source, data, 16_384)
            got = []
            most = 0
            while (chunk = soon { io.read(-150_000) })
              got << chunk
              machine.sleep(0.0005)
              most = [most, io.pending].max
            end
            expect(got.join == data).to be(true)
            expect(most).to be <= most_unread
            machine.join(sending)
          end

          it "keeps small chunks in little memory" do
            source.feed("x")
            io.read(1)
            2000.times { |number| source.feed(number.to_s) && machine.snooze }
            expect(unread_segments).to be <= 8
            expect(pool.first).to be <= 32
            expect(io.read(io.pending)).to eq((0...2000).to_a.join)
          end
        end
      end

      # Slow readers that have taken a byte each, and get more than there are buffers for.
      def slow_readers(count, size)
        sources = Array.new(count) { fd_source }
        sending = sources.each_with_index.map { |source, number| send_all(source, number.chr * size, 16_384) }
        sources.each { |source| source.io.read(1) }
        machine.sleep(0.05)
        yield sources
        sources.each_with_index { |source, number| expect_rest(source.io, number.chr * (size - 1)) }
        machine.join(sending)
        expect(unread_segments).to eq(0)
      end

      def expect_rest(io, text)
        expect([soon { io.read(text.bytesize) } == text, io.read(1)]).to eq([true, nil])
      end

      it "lets others read when slow readers hold all buffers" do
        slow_readers(200, 300_000) do |sources|
          # The pool, and a chunk for each of those that have found it empty.
          expect(sources.sum { |source| source.io.pending }).to be <= (1024 * 16_384) + (200 * 65_536)
          expect(pool.first).to be <= 1024
          others = Array.new(200) { fd_source }
          answers = others.map { |source| machine.spin { Array.new(5) { source.io.read_line } } }
          5.times { |turn| others.each { |source| source.feed("#{turn}\n") } }
          expect(soon { machine.join(answers) }).to all(eq(%w[0 1 2 3 4]))
        end
      end

      it "gives memory back when they have caught up" do
        slow_readers(100, 400_000) { nil }
        source = fd_source
        sending = send_all(source, "x" * 20_000_000, 4096)
        expect(soon { source.io.skip(20_000_000) }).to eq(20_000_000)
        machine.join(sending)
        expect(pool.first).to be < 200
      end
    end
  end
end
