# frozen_string_literal: true

# Which version of the C library a shared library asks for.
module Glibc
  module_function

  # The newest symbol version that is named in the file. Names that are only looked up at run time
  # have no version, so they don't count.
  # @return [Gem::Version, nil] nil for a library of another C library
  def needed_by(path)
    names = File.binread(path).scan(/\0GLIBC_(\d+(?:\.\d+)+)(?=\0)/)
    names.map { |(version)| Gem::Version.new(version) }.max
  end
end
