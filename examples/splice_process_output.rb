# frozen_string_literal: true

# Sends the output of a command to whoever connects. The bytes go from the command's pipe to the
# socket within the kernel: this program never sees them.
#
#   bin/ruby examples/splice_process_output.rb 1234 ls -l /
#   nc 127.0.0.1 1234 </dev/null

require "polyphony"

port, *command = ARGV
abort "usage: splice_process_output.rb PORT COMMAND [ARGUMENT ...]" if command.empty?

server = TCPServer.new("127.0.0.1", Integer(port))
puts "sending the output of #{command.join(" ")} on port #{server.local_address.ip_port}"
$stdout.flush

server.accept_loop do |client|
  spin do
    IO.popen(command, "rb") do |output|
      puts "#{IO.splice(output, client)} bytes sent"
    rescue SystemCallError => e
      warn "a client is gone after #{e.bytes_moved} bytes: #{e.message}"
    end
    $stdout.flush
  ensure
    client.close
  end
end
