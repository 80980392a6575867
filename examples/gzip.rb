# frozen_string_literal: true

# Compresses its input: a filter, as gzip is.
#
#   ruby -I lib examples/gzip.rb <README.md | gunzip | diff - README.md && echo the same
#   echo foobar | ruby -I lib examples/gzip.rb | gunzip

require "polyphony"

IO.gzip($stdin, $stdout, orig_name: ARGV.first)
