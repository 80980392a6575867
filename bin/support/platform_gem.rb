# frozen_string_literal: true

require "fileutils"
require "rubygems/package"

# A gem for one platform, with a compiled library for each of several Rubies and nothing to compile.
class PlatformGem
  ROOT = File.expand_path("../..", __dir__)

  # @param platform [String] as RubyGems has it: `x86_64-linux`, `aarch64-linux-musl` …
  # @param libraries [Hash{String => String}] by the series of a Ruby (`3.4`), the path of a library
  def initialize(platform, libraries)
    raise ArgumentError, "no library to package" if libraries.empty?

    @platform = platform
    @libraries = libraries.sort_by { |series, _| Gem::Version.new(series) }
  end

  # @param folder [String] where the gem is put
  # @return [String] its path
  def build(folder)
    spec = specification
    stage = File.join(folder, "stage-#{@platform}")
    FileUtils.rm_rf(stage)
    copy_files(spec, stage)
    built = Dir.chdir(stage) { File.expand_path(Gem::Package.build(spec)) }
    FileUtils.mv(built, folder)
    FileUtils.rm_rf(stage)
    File.join(folder, File.basename(built))
  end

  private

  def specification
    spec = Dir.chdir(ROOT) { Gem::Specification.load("polyphony-rs.gemspec") }.dup
    spec.platform = Gem::Platform.new(@platform)
    spec.extensions = []
    spec.files = spec.files.grep_v(%r{\A(src|ext)/|\ACargo}) + @libraries.map { |series, _| packaged(series) }
    first, last = @libraries.map { |series, _| Gem::Version.new("#{series}.0") }.minmax
    # Previews count.
    spec.required_ruby_version = [">= #{first}.dev", "< #{last.bump}.dev"]
    spec
  end

  def packaged(series) = "lib/polyphony_rs/#{series}/polyphony_rs.so"

  def copy_files(spec, stage)
    sources = spec.files.to_h { |file| [file, File.join(ROOT, file)] }
    @libraries.each { |series, path| sources[packaged(series)] = path }
    sources.each do |file, source|
      FileUtils.mkdir_p(File.join(stage, File.dirname(file)))
      FileUtils.cp(source, File.join(stage, file))
    end
  end
end
