# frozen_string_literal: true

require_relative "common"

line = Lines::LINE.chomp
result = Lines.cost do
  count = 0
  count += 1 while count < Lines::COUNT && line.b
  count
end
puts JSON.generate(result)
