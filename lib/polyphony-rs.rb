# frozen_string_literal: true

# The gem's own name, for Bundler's automatic require.
require "polyphony"
