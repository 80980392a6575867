# frozen_string_literal: true

require_relative "libraries"
require_relative "meeting"
require_relative "polyphony"
require_relative "scheduled"

module SpecSupport
  # What specs need that run libraries of other people.
  #
  # A group says by `packages: %w[ruby-redis]` which of the packages that bin/setup provides it uses,
  # and by `gems: %w[drb]` which of the gems that come with Ruby, or have come with an earlier one.
  # Groups whose packages or gems can't be had are skipped, with the reason that bin/setup has noted.
  module Ecosystem
    FOLDERS = ENV.fetch("ECOSYSTEM_FOLDERS", "").split(":")
    # Where a Debian package, or the source of a gem, has its Ruby files. One has them a folder deeper.
    LIBRARIES = %w[usr/share/rubygems-integration/*/gems/*/lib usr/lib/*/rubygems-integration/*/gems/*/lib
                   usr/share/rubygems-integration/*/gems/*/lib/concurrent-ruby
                   usr/lib/ruby/vendor_ruby lib].freeze
    PENDING = "not here: "

    # Each runs procs side by side and gives their values.
    WAYS = {
      "under UM::FiberScheduler" => ->(example, bodies) { example.in_fibers(*bodies) },
      "with Polyphony's spin" => ->(_example, bodies) { Ecosystem.spin_all(bodies) }
    }.freeze

    module_function

    def install(config)
      config.before(:context) do
        metadata = self.class.metadata
        missing = Ecosystem.missing(metadata.fetch(:packages, []))
        skip("#{PENDING}#{missing}") if missing
        metadata.fetch(:packages, []).each { |name| Ecosystem.add(Ecosystem.folder(name)) }
        metadata.fetch(:gems, []).each { |name| Ecosystem.add_gem(name) }
        missing = Ecosystem.missing_gem(metadata.fetch(:gems, []))
        skip("#{PENDING}#{missing}") if missing
      end
      config.extend Ways
    end

    # Why one of the packages can't be had; nil where all of them are there.
    def missing(packages)
      name = packages.find { |package| !folder(package) }
      return unless name

      note = FOLDERS.map { |folder| File.join(folder, "#{name}.missing") }.find { |path| File.exist?(path) }
      raise "#{name} is missing: run bin/setup, and load bin/support/env.sh's environment" unless note

      "#{name}: #{File.read(note).chomp}"
    end

    # Why one of the gems can't be had; nil where all of them are there.
    def missing_gem(gems) = gems.lazy.filter_map { |name| Libraries.missing(name.tr("-", "/")) }.first

    def folder(package) = FOLDERS.map { |folder| File.join(folder, package) }.find { |path| Dir.exist?(path) }

    def add(folder)
      LIBRARIES.flat_map { |pattern| Dir.glob(pattern, base: folder) }.each do |library|
        path = File.join(folder, library)
        $LOAD_PATH << path unless $LOAD_PATH.include?(path)
      end
    end

    # Bundler hides what the Gemfile doesn't name.
    def add_gem(name)
      gem(name)
    rescue Gem::LoadError
      [*Gem.path, *Gem.default_path].uniq.each do |path|
        Dir.glob(File.join(path, "gems", "#{name}-[0-9]*")).each { |folder| add(folder) }
      end
    end

    # What a Ruby program of its own needs on its command line to find them.
    def options = $LOAD_PATH.select { |path| path.start_with?(*FOLDERS) }.flat_map { |path| ["-I", path] }

    def spin_all(bodies)
      values = nil
      InPolyphony.in_thread { values = Fiber.await(bodies.map { |body| spin { body.call } }) }
      values
    end

    # In example groups.
    module Ways
      # The examples of the block, in each of the ways that there are to run fibers.
      def in_both_ways(&examples) # rubocop:disable Naming/BlockForwarding -- not in a block, on 3.3.0
        WAYS.each do |name, run|
          context name do
            define_method(:together) { |*bodies| run.call(self, bodies.flatten) }
            class_eval(&examples) # rubocop:disable Naming/BlockForwarding
          end
        end
      end
    end
  end
end

RSpec.configure do |config|
  SpecSupport::Ecosystem.install(config)
  config.include SpecSupport::Scheduled, file_path: %r{spec/ecosystem/}
end
