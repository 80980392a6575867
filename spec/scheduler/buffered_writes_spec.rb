# frozen_string_literal: true

require_relative "../support/scheduled"

# Core moves the bytes in the buffer of an IO when somebody writes to it while another fiber's flush
# is under way.
RSpec.describe "UM::FiberScheduler: buffered writes" do
  let(:sizes) { (150..199) }
  let(:set_pipe_size) { 1031 } # F_SETPIPE_SZ

  # Reads slowly, so that flushes have to wait.
  def reading(reader)
    Thread.new do
      text = +""
      while (piece = reader.read_nonblock(700, exception: false))
        piece == :wait_readable ? reader.wait_readable : text << piece
        Thread.pass
      end
      text
    end
  end

  it "are whole, however many fibers write to a pipe that is full" do
    reader, writer = IO.pipe
    writer.sync = false
    writer.fcntl(set_pipe_size, 4096)
    text = reading(reader)
    in_fibers(sizes.map { |size| -> { 40.times { writer.puts "#{size} #{"x" * size}" } } })
    writer.close
    expect(text.value.lines(chomp: true).tally).to eq(sizes.to_h { |size| ["#{size} #{"x" * size}", 40] })
  ensure
    [reader, writer].each(&:close)
  end
end
