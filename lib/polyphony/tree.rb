# frozen_string_literal: true

# The tree of fibers, for people.
module Polyphony
  # Who has started whom, what they do, and what they wait for: a line for each fiber.
  #
  #   trap(:QUIT) { warn Polyphony.tree }
  #
  # @param root [Fiber] where to begin
  # @return [String]
  def self.tree(root = main_fiber) = Tree.new(root).to_s

  # Prints a fiber and those below it.
  class Tree
    def initialize(root)
      @root = root
      @waits = Polyphony.machine.pending.to_h { |wait| [wait.fiber, wait] }
    end

    # @return [String]
    def to_s
      lines = []
      left = [[@root, 0]]
      while (fiber, depth = left.pop)
        lines << ("#{"  " * depth}#{line(fiber)}\n")
        fiber.children.reverse_each { |child| left << [child, depth + 1] }
      end
      lines.join
    end

    private

    def line(fiber)
      wait = @waits[fiber]
      state = wait ? "waits: #{wait}" : fiber.state
      [("#{fiber.tag} " if fiber.tag), fiber.location, ": ", state].join
    end
  end
  private_constant :Tree
end
