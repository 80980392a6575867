# frozen_string_literal: true

module Polyphony
  # An SSLSocket goes on with the number of its descriptor when it is closed: a method that is called
  # afterwards would read and write the next file with that number. In a program of many fibers
  # another one may have closed it at any time. In front of SSLSocket's own methods.
  # @api private
  module ClosedTLS
    # @!method sysread(...)
    #   @raise [IOError] where it is closed
    # @!method syswrite(...)
    #   @raise [IOError] where it is closed
    %i[sysread syswrite sysread_nonblock syswrite_nonblock stop].each do |name|
      module_eval(<<~RUBY, __FILE__, __LINE__ + 1)
        def #{name}(...)
          raise IOError, "closed stream" if closed?

          super
        end
      RUBY
    end
    private :sysread_nonblock, :syswrite_nonblock, :stop
  end
end
