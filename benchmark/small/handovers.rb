# frozen_string_literal: true

# Values handed over between two fibers, there and back: each shift waits for a push of the other.

module Handovers
  module_function

  # Hands over `count` values.
  def run(machine, count)
    there = UM::Queue.new
    back = UM::Queue.new
    echo = machine.spin { (count / 2).times { machine.push(back, machine.shift(there)) } }
    (count / 2).times do |value|
      machine.push(there, value)
      raise "wrong value" unless machine.shift(back) == value
    end
    machine.join(echo)
  end
end
