# frozen_string_literal: true

module SpecSupport
  # Programs that use Async, each in a process of its own, on our selector.
  module AsyncPrograms
    # Where bin/setup has unpacked it; as a gem it is found without.
    FOLDERS = Dir[File.join(ENV.fetch("ASYNC_FOLDER", "/nonexistent"), "ruby-*/usr/**/gems/*/lib")].freeze
    AVAILABLE = FOLDERS.any? || Gem::Specification.any? { |gem| gem.name == "async" }

    PROLOGUE = <<~RUBY.freeze
      # io-event warns that its C part is not there.
      $VERBOSE = nil
      $LOAD_PATH.concat(#{FOLDERS.inspect})
      ENV["IO_EVENT_SELECTOR"] = "UringMachine"
      require "uringmachine/selector"
      require "async"
      require "async/barrier"
      require "async/semaphore"
      require "async/queue"
      require "socket"
      abort "not our selector" unless IO::Event::Selector.default == UM::Selector
      Console.logger.off!
    RUBY

    # What the program prints; it has to end well.
    def async_program(source)
      outcome = ruby_program("#{PROLOGUE}\n#{source}")
      return outcome.stdout if outcome.success? && outcome.stderr.empty?

      raise "#{outcome.status}\n#{outcome.stdout}#{outcome.stderr}"
    end

    # The same within `Async do |task|`; what the block gives.
    def in_async(body)
      async_program("Async do |task|\n#{body}\nend.wait.then { |value| p value }").chomp
    end
  end
end
