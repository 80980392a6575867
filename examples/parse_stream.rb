# frozen_string_literal: true

# Feeds what comes through a connection to a parser, in four ways. Choose one by its name: while,
# read_loop, recv_loop or feed_loop.
#
#   bin/ruby examples/parse_stream.rb 1234 feed_loop
#   printf '5:hello,6:world!,' | nc -N 127.0.0.1 1234
#
# The parser here is one of netstrings (a length, a colon, so many bytes, a comma). Any with a method
# that takes data and yields objects will do: `MessagePack::Unpacker#feed_each`, for one.

require "polyphony"

# Takes data in pieces of any size, and yields each string that is complete.
class Netstrings
  def initialize
    @data = +""
  end

  def feed_each(data)
    @data << data
    while (head = @data[/\A\d{1,9}:/])
      size = head.to_i
      break if @data.bytesize <= head.bytesize + size

      piece = @data.slice!(0, head.bytesize + size + 1)
      raise ArgumentError, "no netstring: #{piece.inspect}" unless piece.end_with?(",")

      yield piece.byteslice(head.bytesize, size)
    end
  end
end

WAYS = {
  # `readpartial` gives what is there, up to 16 KB, and raises at the end.
  "while" => lambda do |socket, parser, &block|
    loop { parser.feed_each(socket.readpartial(16 * 1024), &block) }
  rescue EOFError
    nil
  end,

  "read_loop" => ->(socket, parser, &block) { socket.read_loop { |data| parser.feed_each(data, &block) } },
  "recv_loop" => ->(socket, parser, &block) { socket.recv_loop { |data| parser.feed_each(data, &block) } },
  "feed_loop" => ->(socket, parser, &block) { socket.feed_loop(parser, :feed_each, &block) }
}.freeze

port, way = ARGV
parse = WAYS[way || "feed_loop"]
abort "usage: parse_stream.rb PORT [#{WAYS.keys.join("|")}]" unless port && parse

server = TCPServer.new("127.0.0.1", Integer(port))
puts "parsing on port #{server.local_address.ip_port}"
$stdout.flush

server.accept_loop do |client|
  spin do
    parse.call(client, Netstrings.new) { |string| client.puts("got #{string.inspect}") }
  rescue SystemCallError, ArgumentError => e
    warn "a client is gone: #{e.message}"
  ensure
    client.close
  end
end
