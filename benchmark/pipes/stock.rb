# frozen_string_literal: true

# Ruby's own IO methods, as the variants with fibers and threads call them.

require "socket"
require_relative "common"

module Stock
  module_function

  def write_all(io, pair, count)
    count.times { |index| io.write(Pipes.message(pair, index)) }
  end

  def read_all(io, pair, count)
    buffer = Pipes.buffer
    count.times do |index|
      io.readpartial(Pipes::SIZE, buffer)
      buffer << io.readpartial(Pipes::SIZE - buffer.bytesize) while buffer.bytesize < Pipes::SIZE
      Pipes.check(buffer, pair, index)
    end
    count
  end
end
