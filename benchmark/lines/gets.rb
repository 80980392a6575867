# frozen_string_literal: true

require_relative "common"

Lines.measure do |pipe|
  count = 0
  count += 1 while pipe.gets
  count
end
