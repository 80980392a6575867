# frozen_string_literal: true

# A file to a pipe and on to the null device, in pieces: two IO.splice for each.
#
#   splice_loop.rb PATH CHUNK

require "polyphony"
require_relative "cost"

path, chunk = ARGV
chunk = Integer(chunk)
file = File.open(path, "rb")
null = File.open(File::NULL, "wb")
reader, writer = IO.pipe
report do
  total = 0
  while (held = IO.splice(file, writer, chunk)).positive?
    total += held
    held -= IO.splice(reader, null, held) while held.positive?
  end
  total
end
