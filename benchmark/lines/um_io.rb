# frozen_string_literal: true

require_relative "common"
require "uringmachine"

Lines.measure do |pipe|
  io = UM.new.io(pipe.fileno)
  count = 0
  count += 1 while io.read_line(0)
  count
end
