# frozen_string_literal: true

module DescriptorStress
  # Descriptors that are open now and were not before.
  class Left
    TRIES = 10
    RING = /\Aanon_inode:\[(io_uring|eventfd)\]\z/
    # A machine of a thread that has ended is there as long as something on the stack looks like a
    # reference to it: a ring and its eventfd, at all times together.
    RINGS_BY_CHANCE = 6

    # At the start of the program.
    def self.rings_at_start = @rings_at_start ||= Left.new.rings.size

    def initialize
      GC.start
      @before = table
    end

    def none?
      more = nil
      TRIES.times do |number|
        sleep(0.02) if number.positive?
        collect(20 * number)
        more = table - @before
        return true if more.empty?
      end
      return true if (more - rings(more)).empty? && rings.size <= Left.rings_at_start + RINGS_BY_CHANCE

      warn "left open:\n  #{more.map { |number, target| "#{number} -> #{target}" }.join("\n  ")}"
      false
    end

    def rings(of = table) = of.select { |_, target| target.match?(RING) }

    private

    def table
      Dir.children("/proc/self/fd").filter_map do |number|
        [number, File.readlink("/proc/self/fd/#{number}")]
      rescue Errno::ENOENT
        nil # of the one that listed them
      end
    end

    # From deep in the stack, so that nothing there looks like a reference still.
    def collect(depth) = depth.zero? ? GC.start : collect(depth - 1)
  end
end
