# frozen_string_literal: true

# Copies a file through a pipe, by two fibers at once: one fills the pipe, the other empties it.
#
#   bin/ruby examples/copy.rb README.md /tmp/README.copy
#   cmp README.md /tmp/README.copy && echo the same

require "polyphony"

CHUNK = 8192

def copy(source, target)
  reader, writer = IO.pipe
  filling = spin do
    IO.splice(source, writer, -CHUNK)
  ensure
    writer.close # or the other fiber never comes to an end
  end
  emptying = spin { IO.splice(reader, target, -CHUNK) }
  Fiber.await(filling, emptying).last
end

from, to = ARGV
abort "usage: copy.rb FROM TO" unless to

File.open(from) do |source|
  File.open(to, "w") { |target| puts "#{copy(source, target)} bytes copied" }
end
