# frozen_string_literal: true

# The machine API: UM::Mutex and write.

require "uringmachine"
require_relative "common"

def write_all(machine, mutex, fd, writer, count)
  size = Files::SIZE
  place = writer * size
  count.times do |index|
    message = Files.message(writer, index)
    machine.synchronize(mutex) do
      machine.write(fd, message, size, place) == size or raise "short write"
    end
  end
end

machine = UM.new

Files.measure do |files, count|
  fibers = files.flat_map do |file|
    mutex = UM::Mutex.new
    Array.new(Files::WRITERS) do |writer|
      machine.spin { write_all(machine, mutex, file.fileno, writer, count) }
    end
  end
  machine.join(fibers).each { |result| raise result if result.is_a?(Exception) }
end
