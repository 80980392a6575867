# frozen_string_literal: true

class UringMachine
  # Looks up the addresses of hosts, as {UringMachine#resolve} does: by the system's resolver, so
  # that `/etc/hosts` and nsswitch.conf count.
  class DNSResolver
    # @param machine [UringMachine] the machine on which fibers wait
    def initialize(machine)
      @machine = machine
    end

    # @param name [String] a host
    # @param type [Symbol] `:A` for IPv4 addresses, `:AAAA` for IPv6
    # @return [Array<String>] none where the name is not known
    # @raise [Errno::EMFILE] where no descriptor is left to look it up with
    def resolve(name, type = :A)
      @machine.resolve(name, type)
    end
  end
end
