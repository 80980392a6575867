# frozen_string_literal: true

require_relative "machine_helpers"

module SpecSupport
  # For specs of RESP: an `io` on the read end of a pipe. Included together with MachineHelpers.
  module RESPHelpers
    def self.included(group)
      group.let(:ends) { pipe }
      group.let(:io) { machine.io(ends.first) }
      # Ends its op, before the machine is looked at.
      group.after { io.clear }
    end

    # What the other end sends, whatever the pipe has room for.
    def feed(*texts)
      machine.spin { texts.each { |text| write_all(text) } }
    end

    def write_all(text)
      text = text.b
      text = text.byteslice(machine.write(ends.last, text)..) until text.empty?
    end

    def finish = close(ends.last)

    # The replies of a stream that ends.
    def replies(*texts, **limits)
      machine.spin do
        texts.each { |text| write_all(text) }
        finish
      end
      seen = []
      while io.pending.positive? || !io.eof?
        reply = soon { io.resp_read(**limits) }
        break if reply.nil? && io.eof?

        seen << reply
      end
      seen
    end
  end
end
