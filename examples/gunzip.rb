# frozen_string_literal: true

# Decompresses its input: a filter, as gunzip is. What the input says of itself goes to stderr.
#
#   bin/ruby examples/gunzip.rb <archive.gz >archive
#   gzip <README.md | bin/ruby examples/gunzip.rb | diff - README.md && echo the same

require "polyphony"
require "zlib"

begin
  bytes = IO.gunzip($stdin, $stdout, header = {})
  warn "#{header[:orig_name] || "no name"}, of #{header[:mtime].utc}: #{bytes} bytes"
rescue Zlib::Error => e
  abort "gunzip.rb: #{e.message}"
end
