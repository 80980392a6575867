# frozen_string_literal: true

# Ruby's own IO methods, as the variants with fibers and threads call them.

require "socket"
require_relative "common"

module Stock
  module_function

  def write_all(io, pair, count)
    messages = Pipes.messages(pair)
    count.times { |index| io.write(messages[index & 63]) }
  end

  def read_all(io, pair, count)
    buffer = Pipes.buffer
    messages = Pipes.messages(pair)
    size = Pipes::SIZE
    count.times do |index|
      io.readpartial(size, buffer)
      buffer << io.readpartial(size - buffer.bytesize) while buffer.bytesize < size
      buffer == messages[index & 63] or Pipes.wrong(pair, index)
    end
    count
  end
end
