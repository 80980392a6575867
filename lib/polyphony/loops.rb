# frozen_string_literal: true

require "socket"
require_relative "closed_tls"

module Polyphony
  # Loops over what comes in, for every IO.
  #
  # Each chunk is a binary String of its own, with what `readpartial` would have given: first what
  # Ruby has read ahead, then whatever is there, and a wait where nothing is. A loop that is left
  # early has taken nothing away from the next reader. `IO#timeout` holds for each wait, and
  # closing the IO in another fiber ends it with an IOError.
  module Loops
    # Yields what comes in, up to EOF.
    # @param maxlen [Integer] most bytes of a chunk
    # @yieldparam chunk [String]
    # @return [self]
    # @raise [IOError]
    def read_loop(maxlen = 8192, &)
      Polyphony.read_chunks(self, maxlen, &)
      self
    end

    # Passes what comes in to a parser or the like, up to EOF.
    # @param receiver [Object]
    # @param method [Symbol] the method that is called with each chunk, and with the block
    # @return [self]
    # @raise [IOError]
    def feed_loop(receiver, method = :call, &block)
      Polyphony.feed_chunks(self, receiver, method, block)
      self
    end
  end

  # The same for sockets, where a chunk may be a datagram.
  module SocketLoops
    # Yields what comes in, up to EOF; of a datagram that is longer than a chunk, the rest is lost.
    # @param maxlen [Integer] most bytes of a chunk
    # @yieldparam chunk [String]
    # @return [self]
    # @raise [IOError]
    def recv_loop(maxlen = 8192, &)
      Polyphony.recv_chunks(self, maxlen, &)
      self
    end
  end

  # The same for what reads like an IO and is none. It has a `readpartial`.
  module PartialLoops
    # Yields what comes in, up to EOF.
    # @param maxlen [Integer] most bytes of a chunk
    # @yieldparam chunk [String]
    # @return [self]
    def read_loop(maxlen = 8192)
      raise LocalJumpError, "no block given" unless block_given?

      while (chunk = next_chunk(maxlen))
        yield chunk
      end
      self
    end

    # @!method recv_loop(maxlen = 8192)
    #   See {#read_loop}.
    alias recv_loop read_loop

    # Passes what comes in to a parser or the like, up to EOF.
    # @param receiver [Object]
    # @param method [Symbol] the method that is called with each chunk, and with the block
    # @return [self]
    def feed_loop(receiver, method = :call, &block) # rubocop:disable Naming/BlockForwarding -- not in a block, on 3.3.0
      read_loop { |chunk| receiver.public_send(method, chunk, &block) } # rubocop:disable Naming/BlockForwarding
    end

    private

    def next_chunk(maxlen)
      return readpartial(maxlen) unless RootFiber.applies?

      RootFiber.run { readpartial(maxlen) }
    rescue EOFError
      nil
    end
  end

  # Gives SSLSocket and SSLServer their loops once they are defined. openssl takes 6 MB and 30 ms:
  # it is left to the programs that need it.
  module AwaitsOpenSSL
    PARENTS = { OpenSSL: "Object", SSL: "OpenSSL",
                SSLSocket: "OpenSSL::SSL", SSLServer: "OpenSSL::SSL" }.freeze
    private_constant :PARENTS

    # What SSLSockets have of Polyphony.
    def self.equip(ssl_socket)
      ssl_socket.include(PartialLoops)
      ssl_socket.prepend(ClosedTLS)
    end

    private

    def const_added(name)
      super
      return unless PARENTS.key?(name) && PARENTS[name] == self.name && !autoload?(name)

      added = const_get(name, false)
      case name
      when :SSLSocket then AwaitsOpenSSL.equip(added)
      when :SSLServer # the last of them: nothing more is waited for
        added.prepend(TLSAcceptLoop)
        AwaitsOpenSSL.remove_method(:const_added)
      else added.extend(AwaitsOpenSSL)
      end
    end
  end
end

# Every IO has {Polyphony::Loops}.
class IO
  include Polyphony::Loops
end

# Sockets have {Polyphony::SocketLoops#recv_loop} as well.
class BasicSocket
  include Polyphony::SocketLoops
end

if defined?(OpenSSL::SSL::SSLSocket)
  Polyphony::AwaitsOpenSSL.equip(OpenSSL::SSL::SSLSocket)
else
  Object.extend(Polyphony::AwaitsOpenSSL)
end
