# frozen_string_literal: true

# One round of accepting.rb: the server's CPU time for a connection.
#
#   ruby server.rb each|spin|accept_loop|accept_loop_spin RATE    (0: flat out)

require "json"
require "socket"
require "uringmachine"

mode, rate = ARGV
rate = rate.to_i
require "polyphony" if mode.start_with?("accept_loop")
machine = mode.start_with?("accept_loop") ? Polyphony.machine : UM.new
server = TCPServer.new("127.0.0.1", 0)
server.listen(4096)
port = server.local_address.ip_port

# Accepts so many and has them closed.
serve = lambda do |count|
  accepted = closed = 0
  case mode
  when "each"
    machine.accept_each(server.fileno) { |fd| machine.close(fd) && (accepted += 1) == count && break }
  when "spin"
    machine.accept_each(server.fileno) do |fd|
      machine.spin { machine.close(fd) && closed += 1 }
      break if (accepted += 1) == count
    end
    machine.snooze until closed == count
  when "accept_loop" then server.accept_loop { |socket| socket.close || ((accepted += 1) == count && break) }
  when "accept_loop_spin"
    server.accept_loop do |socket|
      spin { socket.close || closed += 1 }
      break if (accepted += 1) == count
    end
    machine.snooze until closed == count
  end
end

# Microseconds of CPU time for each of so many.
cost = lambda do |count|
  GC.start
  GC.disable
  before = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
  serve.call(count)
  after = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
  GC.enable
  (after - before) / count * 1e6
end

now = -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) }

# A child that connects, and what is measured meanwhile.
beside = lambda do |clients, &measured|
  ready, tell = IO.pipe
  child = fork { clients.call(tell) && sleep }
  measured.call(ready)
ensure
  Process.kill(:KILL, child)
  Process.wait(child)
  [ready, tell].each(&:close)
end

costs =
  if rate.zero?
    fill = ->(tell) { (@clients = Array.new(4000) { TCPSocket.new("127.0.0.1", port) }) && tell.write("x") }
    Array.new(5) { beside.call(fill) { |ready| ready.read(1) && cost.call(4000) } }
  else
    trickle = lambda do |_|
      begun = now.call
      (1..).each do |number|
        client = Socket.tcp("127.0.0.1", port)
        client.setsockopt(:SOCKET, :LINGER, [1, 0].pack("ii")) # leaves no port behind that waits
        client.close
        pause = begun + (number.to_f / rate) - now.call
        sleep(pause) if pause.positive?
      end
    end
    measure = lambda do |_|
      serve.call(rate / 5) # warm
      cost.call(rate * 2)
    end
    [beside.call(trickle, &measure)]
  end
puts JSON.generate("cpu_us" => costs.sort[costs.size / 2])
