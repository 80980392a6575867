# frozen_string_literal: true

# What an idle connection takes: 10,000 of them accepted, with a fiber for each that waits in recv
# (with a buffer of its own, of 1 KB), in recv_each or in UM::IO#read_line (without), less what
# 10,000 open sockets and 10,000 bare parked fibers take. Resident memory and page tables are those
# of the server's process. The rest of the kernel's is read from /proc/slabinfo (by root only),
# where other work on the machine and the client's ends of the connections count as well.

require_relative "support"

chosen = Bench.options(rounds: 3, connections: 10_000)
TARGETS_KB = { "recv" => 2, "recv_each" => 2, "um_io" => 3 }.freeze
count = chosen[:connections]
limit = Process.getrlimit(Process::RLIMIT_NOFILE).last
abort "#{count} connections need #{count + 100} descriptors, the limit is #{limit}" if limit < count + 100

# One run of a variant: the bytes that it took.
measure = lambda do |name|
  Bench::Child.open(Bench.ruby("benchmark/idle/#{name}.rb", count)) do |server|
    server.line => { ready: }
    clients = ready && Bench::Child.new(Bench.ruby("benchmark/idle/clients.rb", ready, count))
    clients&.line(limit: 60)
    server.close_stdin unless ready
    server.line(limit: 60)
  ensure
    clients&.stop
  end
end

puts "#{count} idle connections, #{chosen[:rounds]} rounds in turn"
puts Bench.machine_line, ""

waits = TARGETS_KB.keys.select { |name| name == "recv" || Bench.machine_has?(name.sub("um_", "")) }
names = ["sockets", "fibers", *waits]
results = names.to_h { [_1, []] }
chosen[:rounds].times { names.each { |name| results[name] << measure.call(name) } }

per_connection = lambda do |key|
  results.transform_values { |rounds| rounds.map { _1[key] / 1024.0 / count } }
end
rss = per_connection.call(:rss)
kernel = per_connection.call(:kernel)
beyond = lambda do |figures, name|
  figures.values_at(name, "sockets", "fibers").transpose.map { |wait, socket, fiber| wait - socket - fiber }
end
row = lambda do |name, ours, theirs, target = nil|
  both = Bench.median(ours.zip(theirs).map(&:sum))
  [name, *[ours, theirs].flat_map { [format("%.2f", Bench.median(_1)), Bench.spread(_1)] },
   format("%.2f", both), target, Bench.met(both, target)]
end
beyond_both = waits.map do |name|
  row.call("#{name}, beyond both", beyond.call(rss, name), beyond.call(kernel, name), TARGETS_KB[name])
end
Bench.table(
  ["variant", "resident KB", "min..max", "kernel KB", "min..max", "together", "target", ""],
  names.map { |name| row.call(name, rss[name], kernel[name]) } + beyond_both
)
