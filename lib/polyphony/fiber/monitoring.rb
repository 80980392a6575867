# frozen_string_literal: true

module Polyphony
  # Being told of a fiber's end.
  module FiberMonitoring
    # Has a fiber told of this one's end: its {#monitor_mailbox} gets `[fiber, value]`, or
    # `[fiber, exception]` where it failed. What fails it doesn't go to a parent that monitors it.
    # @param monitor [Fiber]
    # @return [self]
    def monitor(monitor = ::Fiber.current)
      if dead?
        monitor.monitor_mailbox << [self, result]
      elsif !monitors.include?(monitor)
        self.__monitors__ = [*__monitors__, monitor]
      end
      self
    end

    # Takes {#monitor} back.
    # @param monitor [Fiber]
    # @return [self]
    def unmonitor(monitor = ::Fiber.current)
      left = monitors - [monitor]
      self.__monitors__ = left.empty? ? nil : left
      self
    end

    # @return [Array<Fiber>] the fibers that are told of its end
    def monitors = __monitors__.to_a.dup

    # @return [Mailbox] what it is told of the fibers that it monitors
    def monitor_mailbox = @__monitor_mailbox ||= Mailbox.new # rubocop:disable Naming/MemoizedInstanceVariableName

    # Makes it a child of another fiber, which is told of its end.
    # @return [self]
    def attach_and_monitor(parent) = attach_to(parent).monitor(parent)

    alias attach_to_and_monitor attach_and_monitor

    # Makes it a child of the fiber that the thread began with.
    # @return [self]
    def detach = attach_to(Polyphony.main_fiber)

    # Makes all its children those of another fiber.
    # @return [self]
    def attach_all_children_to(parent)
      children.each { |child| child.attach_to(parent) }
      self
    end
  end
end
