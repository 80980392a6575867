# frozen_string_literal: true

# Sends a file to a port.
#
#   send_file.rb PORT PATH

require "polyphony"
require_relative "cost"

port, path = ARGV
socket = TCPSocket.new("127.0.0.1", Integer(port))
File.open(path, "rb") { |file| report { IO.double_splice(file, socket) } }
