# frozen_string_literal: true

# What the variants share: the listening socket, and the memory before and after.

require "json"
require "socket"
require "uringmachine"

module Idle
  COUNT = Integer(ARGV.last)
  CACHES = /^(io_\w+|kmalloc-\d+|kmalloc-cg-\d+|TCP|tw_sock_TCP|request_sock_TCP|sock_inode_cache|filp|
              vm_area_struct|anon_vma|anon_vma_chain|maple_node|skbuff_\w+)\s/x
  Process.setrlimit(Process::RLIMIT_NOFILE, Process.getrlimit(Process::RLIMIT_NOFILE).last)
  Process.setrlimit(Process::RLIMIT_CPU, 120)

  module_function

  def listen
    server = TCPServer.new("127.0.0.1", 0)
    server.listen(4096)
    server
  end

  # Says that clients may come, takes the memory, and again when the block is done.
  def measure(server = nil)
    GC.start
    before = memory
    puts JSON.generate(ready: server && server.addr[1])
    $stdout.flush
    yield
    GC.start
    after = memory
    puts JSON.generate(after.merge(before) { |_, now, start| now - start })
    $stdout.flush
    $stdin.read
    exit!(0)
  end

  # Bytes: resident in this process, and held by the kernel for it.
  def memory
    status = File.read("/proc/self/status").scan(/^(\w+):\s+(\d+) kB/).to_h
    resident, tables = status.values_at("VmRSS", "VmPTE").map { _1.to_i * 1024 }
    { rss: resident, kernel: tables + slab }
  end

  # Objects in use in the caches that sockets, mappings and ops are taken from, whoever uses them.
  # For root only; 0 for others.
  def slab
    File.foreach("/proc/slabinfo").grep(CACHES).sum do |line|
      objects, _, size = line.split[1, 3].map(&:to_i)
      objects * size
    end
  rescue SystemCallError
    0
  end
end
