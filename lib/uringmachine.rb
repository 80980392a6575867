# frozen_string_literal: true

require_relative "uringmachine/ruby_version" # the first of all

# Ruby would load it when it is first used, and a trap handler can't load anything.
require "set" # rubocop:disable Lint/RedundantRequireStatement

require_relative "uringmachine/version"
require_relative "uringmachine/native"
require_relative "uringmachine/mailbox"
require_relative "uringmachine/pending"
require_relative "uringmachine/terminate"
require_relative "uringmachine/blocking_operation_thread_pool"
require_relative "uringmachine/dns_resolver"
require_relative "uringmachine/file_watch"
require_relative "uringmachine/fiber_scheduler"
require_relative "uringmachine/closing"
require_relative "uringmachine/hook_order"
require_relative "uringmachine/ssl"
require_relative "uringmachine/http"

# io_uring for fibers. Short name of {UringMachine}.
UM = UringMachine
