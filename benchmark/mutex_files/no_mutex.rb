# frozen_string_literal: true

# The machine API without a mutex, one fiber for each file: what the writes cost by themselves.

require "uringmachine"
require_relative "common"

def write_all(machine, fd, count)
  size = Files::SIZE
  count.times do |index|
    Files::WRITERS.times do |writer|
      sent = machine.write(fd, Files.message(writer, index), size, writer * size)
      sent == size or raise "short write"
    end
  end
end

machine = UM.new

Files.measure do |files, count|
  fibers = files.map { |file| machine.spin { write_all(machine, file.fileno, count) } }
  machine.join(fibers).each { |result| raise result if result.is_a?(Exception) }
end
