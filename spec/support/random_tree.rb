# frozen_string_literal: true

require "English"

module SpecSupport
  # A tree of fibers, and what happens in it.
  class RandomTree
    FIBERS = 100
    # How deep fibers start others, how many actions one takes, and how many children one starts.
    DEPTH = 4
    ACTIONS = 6
    CHILDREN = 5
    SHORT = 0.0005

    class Planned < StandardError; end

    # [which fiber, what]: what contradicts the rules
    attr_reader :complaints

    # only_failure: one fiber fails, nothing is raised in another one, and so nothing may stand in
    # the place of that error: somebody has to see it.
    def initialize(seed, only_failure: false)
      @random = Random.new(seed)
      @only_failure = only_failure
      @fibers = []
      @running = {}
      @raised = []
      @seen = []
      @complaints = []
    end

    # Runs to its end; the root's errors are among those that were seen.
    def run
      top = spin(:top) { see { grow(0) } }
      see { top.await } until top.dead?
      self
    end

    def left = @fibers.reject(&:dead?)

    # Errors that nobody has got.
    def lost = @only_failure ? @raised - @seen : []

    private

    def grow(depth)
      children = Array.new(@random.rand(1..CHILDREN)) { start(depth + 1) if @fibers.size < FIBERS }.compact
      @random.rand(1..ACTIONS).times { act(children) }
      :ended
    ensure
      # What comes up in here stands in the place of what has led here: that is Ruby's rule.
      snooze if @random.rand(4).zero? && !(@only_failure && $ERROR_INFO)
    end

    def start(depth)
      fiber = spin([depth, @fibers.size]) { live(depth) }
      @fibers << fiber
      fiber
    end

    # The body of a fiber: it runs in one fiber at a time, and never beyond its parent's end.
    def live(depth)
      me = Fiber.current
      complain(me, "runs twice") if @running[me]
      @running[me] = true
      depth < DEPTH ? grow(depth) : @random.rand(1..ACTIONS).times { act([]) }
    ensure
      complain(me, "outlives its parent") if me.parent.dead?
      @running.delete(me)
    end

    def act(children)
      case @random.rand(12)
      when 0, 1 then snooze
      when 2 then pause
      when 3 then see { Fiber.await(children.sample(2, random: @random)) }
      when 4 then see { Fiber.select(*children.sample(2, random: @random)) }
      when 5 then see { Polyphony.machine.timeout(SHORT, Planned.new("timeout")) { pause(SHORT * 2) } }
      when 6 then fail_now if @random.rand(3).zero?
      else meddle
      end
    end

    # Does something to another fiber, which is none of those above.
    def meddle
      other = @fibers.sample(random: @random)
      return if other.nil? || above?(other)

      case @random.rand(7)
      when 0, 1 then finish(other)
      when 2, 3 then disturb(other) unless @only_failure
      when 4 then other.dead? || other.restart
      when 5 then other << :message
      else other.interject { Fiber.current == other || complain(other, "is not itself") }
      end
    end

    def finish(other)
      @random.rand(2).zero? ? other.stop(:stopped) : other.terminate(graceful: @random.rand(2).zero?)
    end

    def disturb(other) = @random.rand(2).zero? ? other.cancel : other.raise(Planned, "from outside")

    def above?(other)
      fiber = Fiber.current
      fiber = fiber.parent while fiber && fiber != other
      !fiber.nil?
    end

    def pause(seconds = SHORT) = Polyphony.machine.sleep(seconds * (1 + @random.rand))

    def fail_now
      return if @only_failure && @raised.any?

      error = Planned.new("#{Fiber.current.tag}, #{@raised.size}")
      @raised << error
      raise error
    end

    # Errors that come up in the block are known from now on.
    def see
      yield
    rescue Planned, Polyphony::Cancel => e
      causes(e).each { |error| @seen << error }
      nil
    end

    def causes(error)
      list = [error]
      list << list.last.cause while list.last.cause && !list.include?(list.last.cause)
      list
    end

    def complain(fiber, what) = @complaints << "#{fiber.inspect} #{what}"
  end
end
