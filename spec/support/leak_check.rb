# frozen_string_literal: true

module SpecSupport
  # The descriptors of this process.
  module DescriptorTable
    module_function

    # [number, target] of each; the target of a pipe or socket has its inode in it.
    def current
      Dir.children("/proc/self/fd").filter_map do |number|
        [Integer(number), File.readlink("/proc/self/fd/#{number}")]
      rescue Errno::ENOENT
        nil # the descriptor that listed the folder
      end
    end
  end

  # Fails an example that passed but left descriptors open.
  #
  # What an example makes with `let`, `subject` or instance variables is dropped and collected
  # first, so machines and IO objects need no closing by hand. An example that is meant to leave
  # something open says `leak_check: false`.
  module LeakCheck
    # The GC scans stacks conservatively: a value that looks like a reference keeps a machine until
    # it is overwritten, so each try goes deeper than the one before.
    TRIES = 12
    # Where that doesn't help, so many descriptors of rings and of IO objects that are still there may
    # stay, of one example and of all together. A real leak has more of them after a few.
    KEPT_BY_CHANCE = 20
    KEPT_IN_ALL = 64
    RING = /\Aanon_inode:\[(io_uring|eventfd)\]\z/
    DEPTH = 64
    # The kernel frees a ring's last parts asynchronously, and threads take a moment to end.
    PAUSE_SECONDS = 0.02

    class LeakError < StandardError; end

    module_function

    def install(config)
      config.around do |example|
        next example.run if example.metadata[:leak_check] == false

        before = DescriptorTable.current
        example.run
        next if example.exception

        LeakCheck.forget_state_of(self)
        LeakCheck.verify(before)
      end
    end

    # RSpec itself lets go of these only after the last hook. The memoized values are cleared in
    # place, because the group keeps a second reference to their table.
    def forget_state_of(instance)
      instance.instance_variable_get(:@__memoized)&.instance_variable_get(:@memoized)&.clear
      names = instance.instance_variables.reject { |name| name.start_with?("@__") }
      names.each { |name| instance.remove_instance_variable(name) }
    end

    def verify(before)
      leaked = leaked_since(before)
      TRIES.times do |try|
        break if leaked.empty?

        sleep PAUSE_SECONDS if try.positive?
        collect_garbage(DEPTH * (try + 1))
        leaked = leaked_since(before)
      end
      raise LeakError, message_for(leaked) unless leaked.empty? || kept_by_chance?(leaked)
    end

    def kept_by_chance?(leaked)
      owned = owned_descriptors
      return false unless leaked.all? { |number, target| RING.match?(target) || owned.include?(number) }
      return false if leaked.size > KEPT_BY_CHANCE

      now = DescriptorTable.current
      @kept = ((@kept || []) | leaked) & now
      rings = now.select { |_, target| RING.match?(target) }
      (@kept | rings).size <= KEPT_IN_ALL
    end

    # Those that an IO object will close when it is collected.
    def owned_descriptors
      ObjectSpace.each_object(IO).filter_map do |io|
        io.fileno if io.autoclose?
      rescue IOError
        nil # closed, or never opened
      end
    end

    def leaked_since(before) = DescriptorTable.current - before

    # Deeper than the example ran, so that no old reference survives in an unused stack slot.
    def collect_garbage(depth = DEPTH)
      return GC.start if depth.zero?

      collect_garbage(depth - 1)
    end

    def message_for(leaked)
      list = leaked.map { |number, target| "  #{number} -> #{target}" }
      "#{leaked.size} descriptor(s) left open:\n#{list.join("\n")}"
    end
  end
end
