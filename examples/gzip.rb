# frozen_string_literal: true

# Compresses its input: a filter, as gzip is.
#
#   bin/ruby examples/gzip.rb <README.md | gunzip | diff - README.md && echo the same
#   echo foobar | bin/ruby examples/gzip.rb | gunzip

require "polyphony"

IO.gzip($stdin, $stdout, orig_name: ARGV.first)
