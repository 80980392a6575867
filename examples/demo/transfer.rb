# frozen_string_literal: true

module Demo
  # A file that goes from one program to another through a proxy of ours.
  module Transfer
    BYTES = 1 << 30
    PIECE = 1 << 20
    # Megabytes (10**6 bytes) a second, with all three programs on the same cores.
    TARGET = 500
    # Room for the file and its copy.
    ROOM = (BYTES * 2.5).to_i
    SOCAT = %W[socat -u -b #{PIECE}].freeze

    module_function

    def run(report)
      puts "2. a file of 1 GiB from one socat to another, through a proxy of ours (Polyphony.proxy)"
      Dir.mktmpdir("polyphony-demo", folder) do |dir|
        source, copy = %w[source copy].map { File.join(dir, _1) }
        random = Random.new
        fill(source) { random.bytes(PIECE) }
        # Written once before, so that the receiver doesn't wait for fresh memory or disk blocks.
        fill(copy) { "\0" * PIECE }
        seconds, proxy = transfer(source, copy)
        sent, received = checksums(source, copy)
        add_to(report, seconds, proxy, sent, received)
      end
    end

    def add_to(report, seconds, proxy, sent, received)
      rate = BYTES / 1e6 / seconds
      counts = proxy.values_at(:there, :back)
      report.check("proxy: checksum (SHA-256)", "#{sent[0, 12]} sent, #{received[0, 12]} received",
                   sent == received && counts == [0, BYTES], as: "equal")
      report.measure("proxy: throughput", format("%d MB/s", rate), rate,
                     at_least: TARGET, as: "at least #{TARGET} MB/s")
      report.note("proxy: CPU time for 1 GiB", format("%.2f s", proxy[:cpu]))
      report.note("proxy: peak memory", format("%.1f MB", proxy[:peak] / 1e6))
    end

    # In memory where there is plenty of it, so that no disk sets the pace.
    def folder
      folders = ["/dev/shm", Dir.tmpdir].select { |dir| File.writable?(dir) && free(dir) > ROOM }
      folders.delete("/dev/shm") if available_memory < 2 * ROOM
      return folders.first if folders.any?

      raise Bench::Failed, "#{Dir.tmpdir} needs #{ROOM >> 20} MiB of free space (TMPDIR names another folder)"
    end

    def free(dir) = IO.popen(["df", "--output=avail", "-B1", dir], &:read).lines.last.to_i

    def available_memory = File.read("/proc/meminfo")[/^MemAvailable:\s+(\d+)/, 1].to_i * 1024

    def fill(path)
      File.open(path, "wb") { |file| (BYTES / PIECE).times { file.write(yield) } }
    end

    # Runs the three programs; seconds until the receiver has ended, and the proxy's own report.
    def transfer(source, copy)
      # -d -d: it says which port it has got.
      sending = [*SOCAT, "-d", "-d", "OPEN:#{source},rdonly", "TCP-LISTEN:0,bind=127.0.0.1"]
      Bench::Child.open(sending, err: :pipe) do |sender|
        port = sender.error_line(/listening on .*:(\d+)/)[1]
        Bench::Child.open(Bench.ruby("examples/demo/programs/proxy.rb", port)) do |proxy|
          receiver = [*SOCAT, "TCP:127.0.0.1:#{proxy.line[:port]}", "OPEN:#{copy},wronly"]
          start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
          Bench::Child.open(receiver) { |child| child.succeed(limit: 60) }
          seconds = Process.clock_gettime(Process::CLOCK_MONOTONIC) - start
          [seconds, proxy.finish(limit: 10)]
        end
      end
    end

    # Of both files at the same time.
    def checksums(*files)
      files.map { |file| IO.popen(["sha256sum", file]) }.map { |io| io.read.split.first.tap { io.close } }
    end
  end
end
