# frozen_string_literal: true

require "time"
require_relative "stream"

class UringMachine
  class RackServer
    # What an application answers, and how it is sent.
    # @private
    class Response
      # How a body is delimited is the server's business.
      FRAMING = { "content-length" => true, "transfer-encoding" => true }.freeze

      def initialize(connection, input, method)
        @connection = connection
        @io = connection.io
        @input = input
        @is_head = method == "HEAD"
        @begun = false
      end

      # @param answer [Array(Integer, Hash, Object)] what the application gave
      def take(answer)
        @status, @headers, @body = answer
      end

      # What `rack.response_finished` is told.
      def head = [@status, @headers]

      def deliver
        callable = @headers["rack.hijack"]
        return stream(callable) if callable
        return send_whole(@body.to_ary) if @body.respond_to?(:to_ary)

        @body.respond_to?(:each) ? send_parts : stream(@body)
      end

      # Whether something of it was sent.
      def begun? = @begun

      # The application has failed: the response says so.
      def fail
        close
        take([500, { "content-type" => "text/plain" }, ["Internal Server Error\n"]])
      end

      def close
        @body.close if @body.respond_to?(:close)
      end

      private

      # The headers as they are sent. `rack.` stands before what is meant for the server.
      def fields
        fields = @headers.reject { |name, _| FRAMING[name] || name.start_with?("rack.") }
        fields["date"] ||= Clock.date
        fields["connection"] = "close" if @connection.server.stopping? && @status >= 200
        fields
      end

      def send_whole(parts)
        body = parts.size == 1 ? parts.first : parts.map(&:b).join
        # An empty body doesn't say here that the one for GET is empty.
        return send_parts if body.empty? && (@is_head || @status == 304)

        @io.http_write_response(@status, fields, body)
        @begun = true
      end

      def send_parts
        begin_body
        @body.each { |part| @io.http_write_chunk(part) } unless @is_head
        @io.http_finish
      end

      def begin_body
        length = @headers["content-length"]
        @io.http_write_head(@status, fields, length && Integer(length, 10))
        @begun = true
      end

      # The body is written by a call. One that answers an upgrade has the connection itself.
      def stream(callable)
        raise TypeError, "no body: #{callable.inspect}" unless callable.respond_to?(:call)

        upgrade(@headers["rack.protocol"]) if @headers["rack.protocol"]
        begin_body
        return @io.http_finish if @is_head

        raw = @status == 101
        stream = raw ? RawStream.new(@connection) : BodyStream.new(@connection, @input)
        callable.call(stream)
        stream.wait
        raise Connection::Over if raw
      end

      def upgrade(protocol)
        @status = 101
        @headers = @headers.merge("connection" => "upgrade", "upgrade" => protocol)
      end
    end

    # The time as responses say it.
    # @private
    module Clock
      def self.date
        now = Process.clock_gettime(Process::CLOCK_REALTIME, :second)
        return @date if now == @second

        @second = now
        @date = Time.at(now).httpdate.freeze
      end
    end
  end
end
