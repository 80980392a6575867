# frozen_string_literal: true

module SpecSupport
  # Fails the whole run where no io_uring can be opened: a suite that passes without the thing
  # it is about would be worth nothing.
  module RingCheck
    LINK = "anon_inode:[io_uring]"

    module_function

    def install(config)
      config.before(:suite) { RingCheck.run }
    end

    def run
      before = ring_count
      machine = UM.new
      opened = ring_count - before
      return if opened.positive? && machine

      raise "UM.new opened no io_uring: there is no new #{LINK} in /proc/self/fd"
    end

    def ring_count
      DescriptorTable.current.count { |_number, target| target == LINK }
    end
  end
end
