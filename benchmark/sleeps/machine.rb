# frozen_string_literal: true

# machine.sleep.

require "uringmachine"
require_relative "common"

machine = UM.new

Sleeps.measure do
  fibers = Array.new(Sleeps::FIBERS) do
    machine.spin { Sleeps.run { |duration| machine.sleep(duration) } }
  end
  machine.join(fibers).each { |result| raise result if result.is_a?(Exception) }
end
