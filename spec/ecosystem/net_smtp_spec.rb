# frozen_string_literal: true

require_relative "../support/ecosystem"

# Against a server of this spec, which accepts messages when all of them have been sent.
RSpec.describe "Net::SMTP", gems: %w[net-protocol net-smtp] do
  before(:context) { require "net/smtp" }

  # Takes so many messages, each in a thread; they are kept by sender.
  def smtp_server(count)
    server = TCPServer.new("127.0.0.1", 0)
    meeting = SpecSupport::Meeting.new(count)
    received = {}
    threads = Array.new(count) { Thread.new { serve(server.accept, meeting, received) } }
    yield server.local_address.ip_port
    threads.each(&:join)
    received
  ensure
    server.close
  end

  def serve(peer, meeting, received)
    peer.print("220 ready\r\n")
    sender = nil
    while (line = peer.gets(chomp: true))
      case line
      when /\AMAIL FROM:/ then sender = line[/<(.+)>/, 1]
      when "DATA"
        peer.print("354 go on\r\n")
        received[sender] = peer.gets("\r\n.\r\n")
        meeting.arrive
      when "QUIT" then break peer.print("221 bye\r\n")
      end
      peer.print("250 taken\r\n")
    end
  ensure
    peer.close
  end

  in_both_ways do
    it "has 20 messages on their way at a time" do
      messages = Array.new(20) { |number| "Subject: #{number}\r\n\r\n#{"line\r\n" * 1000}" }
      received = smtp_server(20) do |port|
        together(
          messages.map.with_index do |message, number|
            lambda do
              Net::SMTP.start("127.0.0.1", port, helo: "spec") do |smtp|
                smtp.send_message(message, "#{number}@spec.example", "all@spec.example")
              end
            end
          end
        )
      end
      expect(received.values_at(*Array.new(20) { |number| "#{number}@spec.example" }))
        .to eq(messages.map { |message| "#{message}.\r\n" })
    end
  end
end
