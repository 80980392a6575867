# frozen_string_literal: true

# Waves of machine.spin; one snooze lets all of a wave run.

require_relative "common"

machine = UM.new

Waves.measure do
  ended = 0
  Waves::FIBERS.times { machine.spin { ended += 1 } }
  machine.snooze
  abort "#{machine.fiber_set.size} fibers are left" unless machine.fiber_set.empty?
  ended
end
