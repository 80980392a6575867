# frozen_string_literal: true

# A thread for each writer.

require_relative "stock"

Files.measure do |files, count|
  threads = files.flat_map do |file|
    mutex = Mutex.new
    Array.new(Files::WRITERS) do |writer|
      Thread.new { Stock.write_all(mutex, file, writer, count) }
    end
  end
  threads.each(&:join)
end
