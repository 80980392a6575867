# frozen_string_literal: true

namespace :gem do
  # A folder for each series, as bin/cross_headers makes it: tmp/headers/TARGET/4.0.
  desc "The headers of the Rubies whose sources are in tmp/ruby/, for a TARGET such as aarch64-linux-gnu"
  task :headers, [:target] do |_task, arguments|
    target = arguments[:target] or abort "for which target? bin/cross_headers --help has them"
    trees = Dir.glob("tmp/ruby/*/include/ruby/version.h").to_h do |header|
      numbers = File.read(header).scan(/^#define RUBY_API_VERSION_(?:MAJOR|MINOR) (\d+)/).flatten
      [numbers.join("."), header.delete_suffix("/include/ruby/version.h")]
    end
    abort "no sources of a Ruby in tmp/ruby/: unpack a release there" if trees.empty?
    trees.each { |series, tree| sh "bin/cross_headers", target, tree, "tmp/headers/#{target}/#{series}" }
  end
end
