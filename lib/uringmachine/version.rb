# frozen_string_literal: true

# io_uring for fibers: one machine per thread carries out operations for all fibers of it.
class UringMachine
  # Version of the gem.
  VERSION = "0.1.0"
end
