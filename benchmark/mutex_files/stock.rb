# frozen_string_literal: true

# Ruby's own Mutex and IO#pwrite: the same lines for the scheduler and for threads.

require_relative "common"

module Stock
  module_function

  def write_all(mutex, file, writer, count)
    size = Files::SIZE
    place = writer * size
    count.times do |index|
      message = Files.message(writer, index)
      mutex.synchronize { file.pwrite(message, place) == size or raise "short write" }
    end
  end
end
