# frozen_string_literal: true

# A chat server: what one writes goes to all others. Each client has two fibers, one that reads and
# one that writes, and the second ends with the first. Nobody waits for a client that reads slowly.
#
#   bin/ruby examples/chat_server.rb 4321
#
# and then, in two terminals, with a name as the first line:
#
#   nc 127.0.0.1 4321

require "polyphony"

# Those who are here, and what they have not read yet.
class Room
  # A client that is further behind misses lines.
  MOST_UNREAD = 1000

  def initialize
    @unread = {}
  end

  def enter(name)
    raise ArgumentError, "#{name} is taken" if @unread.key?(name)

    tell("#{name} has come")
    @unread[name] = Queue.new
  end

  def leave(name)
    tell("#{name} has left") if @unread.delete(name)
  end

  def tell(line, but: nil)
    @unread.each { |name, lines| lines << line unless name == but || lines.size >= MOST_UNREAD }
  end
end

def serve(socket, room)
  name = socket.gets&.strip
  return if name.nil? || name.empty?

  lines = room.enter(name)
  spin { loop { socket.puts(lines.pop) } }
  while (line = socket.gets)
    room.tell("#{name}: #{line.chomp}", but: name)
  end
rescue ArgumentError, SystemCallError => e
  warn "#{name}: #{e.message}"
ensure
  room.leave(name) if lines
  socket.close
end

server = TCPServer.new("127.0.0.1", Integer(ARGV.fetch(0, "4321")))
puts "chatting on port #{server.local_address.ip_port}"
$stdout.flush

room = Room.new
server.accept_loop { |socket| spin { serve(socket, room) } }
