# frozen_string_literal: true

require_relative "../uringmachine/version"

module Polyphony
  # Version of the gem.
  VERSION = UringMachine::VERSION
end
