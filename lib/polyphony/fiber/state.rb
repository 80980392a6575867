# frozen_string_literal: true

module Polyphony
  # What a fiber does, and where it came from.
  module FiberState
    # @return [Symbol] :running, :runnable (its turn will come), :waiting, or :dead
    def state
      return :running if equal?(::Fiber.current)
      return :dead if dead?

      __runnable__? ? :runnable : :waiting
    end

    # @return [Boolean] whether it has ended
    def dead? = done? || !alive?

    # @return [Boolean] whether it has not ended
    def running? = !dead?

    # @return [Object] what it was named; the fiber that a thread began with is :main
    def tag = super || (:main if main?)

    # @return [String] the place that started it
    def location
      path, line, label = __place__
      path ? "#{path}:#{line}:in #{quoted(label)}" : "(root)"
    end

    # @return [Array<String>] the places that started it and the fibers above it
    def caller
      places = [self]
      places << places.last.parent while places.last.parent
      places.select(&:__place__).map(&:location)
    end

    # @return [String]
    def inspect
      return super unless __kind__

      name = " #{tag}" if tag
      "#<Fiber#{name}:#{object_id} #{location} (#{state})>"
    end

    alias to_s inspect

    private

    QUOTE = RUBY_VERSION < "3.4" ? "`" : "'"
    private_constant :QUOTE

    def quoted(label) = "#{QUOTE}#{label}'"
  end
end
