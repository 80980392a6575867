# frozen_string_literal: true

require "rbconfig"

# Says that a Ruby is too old, before anything fails in another way. To get here, such a Ruby has to
# parse this file and those that programs require: they have no syntax that Ruby 2.7 doesn't know.
if (RUBY_VERSION.split(".").map(&:to_i) <=> [3, 3]).negative?
  root = File.expand_path("../..", __dir__)
  libraries = Dir.glob("polyphony_rs/*/polyphony_rs.*", base: "#{root}/lib")
  prepared = libraries.map { |path| path.split("/")[1] }.sort.join(", ")
  cure =
    if !File.exist?("#{root}/bin/setup")
      "gem install polyphony-rs, by a newer Ruby"
    elsif prepared.empty?
      "#{root}/bin/setup, which finds or builds a newer one; then #{root}/bin/ruby program.rb"
    else
      "#{root}/bin/ruby program.rb, which is the Ruby that bin/setup has prepared (#{prepared})"
    end
  raise LoadError, <<~MESSAGE.chomp
    polyphony-rs: Ruby #{RUBY_VERSION} is too old; 3.3 or newer is needed
      it is: #{RbConfig.ruby}
      to mend it: #{cure}
  MESSAGE
end
