# frozen_string_literal: true

class UringMachine
  # HTTP/1.1 as a server speaks it; most of it is native.
  class IO
    # A request that is not served, with the status that says so. {IO#http_read_request_headers} and
    # {IO#http_read_body} raise it for what is malformed, ambiguous or too large, and there is no
    # next request then; programs may raise it themselves.
    class HTTPError
      # @return [Integer] the status to answer with
      attr_reader :status

      # @param message [String]
      # @param status [Integer]
      def initialize(message = "bad request", status = 400)
        super(message)
        @status = status
      end
    end

    # Answers a request that is not served, and says that the connection ends here. Where a
    # response is under way already, nothing can be said any more.
    #
    #   rescue UM::IO::HTTPError => e
    #     io.http_write_refusal(e)
    #
    # @param error [HTTPError] its status and its message are sent
    # @return [Integer, nil] the number of bytes sent, if any
    def http_write_refusal(error)
      return if http_writing?

      headers = { "Content-Type" => "text/plain; charset=utf-8", "Connection" => "close" }
      http_write_response(error.status, headers, "#{error.message}\n")
    end
  end
end
