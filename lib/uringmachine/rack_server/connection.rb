# frozen_string_literal: true

require_relative "environment"
require_relative "input"
require_relative "response"

class UringMachine
  class RackServer
    # One client: its requests, one after the other.
    # @private
    class Connection
      # The client is too slow.
      class Slow < StandardError; end
      # There is no next request.
      class Over < StandardError; end

      # Ends of a connection that are nobody's fault here.
      GONE = [Errno::EPIPE, Errno::ECONNRESET, Errno::ETIMEDOUT, Errno::ENOTCONN, Slow, Over].freeze
      # What a client may go on sending after the last response, in bytes and in seconds. To close
      # at once would reset the connection, and the client might never see that response.
      LINGER_BYTES = 1 << 20
      LINGER_SECONDS = 2

      attr_reader :server, :machine, :io, :fd

      def initialize(server, fd)
        @server = server
        @machine = server.machine
        @fd = fd
        @io = @machine.io(fd, :socket)
        @timeout = server.settings.timeout
        @limits = { max_size: server.settings.max_head, max_headers: server.settings.max_headers }.compact
        @hijacked = false
      end

      def run
        @environment = Environment.new(self, method(:hijack))
        while (headers = next_head)
          serve(headers)
        end
      rescue IO::HTTPError => e
        quietly { @io.http_write_refusal(e) }
      rescue *GONE
        nil
      rescue StandardError => e
        @server.report(e)
      ensure
        close unless @hijacked
      end

      # Ends the connection if it waits for a request.
      # @param fiber [Fiber] that it runs in
      def stop(fiber)
        @machine.schedule(fiber, Over.new) if @idle && @io.pending.zero?
      end

      # A part of a request's body as soon as it has come; nil at the end.
      def body_part
        patiently { @io.http_read_body(max: @server.settings.max_body) { |part| return part } }
        nil
      rescue Slow
        raise IO::HTTPError.new("the body takes too long", 408)
      end

      private

      def next_head
        return if @hijacked || @server.stopping?

        @idle = true
        begin
          patiently { @io.http_read_request_headers(**@limits) }
        rescue Slow
          raise IO::HTTPError.new("the request takes too long", 408) if @io.pending.positive?
        ensure
          @idle = false
        end
      end

      def patiently(&) = @machine.timeout(@timeout, Slow, &)

      def serve(headers)
        input = BodyInput.new(self)
        env = @environment.of(headers, input)
        response = Response.new(self, input, headers[":method"])
        error = ask(env, response)
        error = deliver(response) || error unless @hijacked
      rescue Exception => error # rubocop:disable Lint/RescueException, Naming/RescuedExceptionsVariableName
        raise
      ensure
        finish(response, env, input, error)
      end

      # @return [Exception, nil] what the application has failed with
      def ask(env, response)
        response.take(@server.app.call(env))
        nil
      rescue IO::HTTPError
        raise
      rescue StandardError, ScriptError, SystemStackError => e
        @server.report(e)
        response.fail
        e
      end

      # @return [Exception, nil] what the response has failed with
      def deliver(response)
        response.deliver
        nil
      rescue *GONE, IO::HTTPError
        raise
      rescue StandardError, ScriptError, SystemStackError => e
        @server.report(e)
        # Half of a response is shown to be one by the connection's end.
        raise Over if response.begun?

        response.fail
        response.deliver
        e
      end

      # What is owed to the application, however the request ended.
      def finish(response, env, input, error)
        input.close
        response.close
        hooks = env["rack.response_finished"]
        hooks.reverse_each { |hook| hook.call(env, *response.head, error) } unless hooks.empty?
      rescue StandardError, ScriptError => e
        @server.report(e)
      end

      # Gives the socket away. What has come already is read from it first.
      def hijack
        return @hijacked if @hijacked

        unread = @io.detach
        @hijacked = ::TCPSocket.for_fd(@fd)
        @hijacked.ungetbyte(unread) unless unread.empty?
        @hijacked
      end

      def close
        quietly { linger } unless @io.eof?
      ensure
        @machine.close(@fd)
      end

      def linger
        @machine.shutdown(@fd, SHUT_WR)
        @machine.timeout(LINGER_SECONDS, Slow) { @io.skip(LINGER_BYTES) }
      end

      def quietly
        yield
      rescue *GONE
        nil
      end
    end
  end
end
