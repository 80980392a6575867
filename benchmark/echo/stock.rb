# frozen_string_literal: true

# Echo by Ruby's own IO methods: the same lines for the scheduler and for threads.

require_relative "common"

module Stock
  module_function

  def echo(client)
    buffer = String.new(capacity: Echo::BUFFER)
    loop { client.write(client.readpartial(Echo::BUFFER, buffer)) }
  rescue EOFError, SystemCallError
    # The client is gone.
  ensure
    client.close
  end
end
