# frozen_string_literal: true

# So many handovers, for strace to count the system calls of.

require "json"
require "uringmachine"
require_relative "handovers"

count = Integer(ARGV[0])
Handovers.run(UM.new, count)
puts JSON.generate(handovers: count)
