# frozen_string_literal: true

class UringMachine
  # Ends a fiber. Not a StandardError, so that no plain `rescue` catches it.
  class Terminate < Exception; end # rubocop:disable Lint/InheritException

  # What {#terminate} raises in a fiber. One object for all, as nobody looks at its backtrace.
  TERMINATE_EXCEPTION = Terminate.new.freeze
end
