# frozen_string_literal: true

# What compression costs: IO.gzip and IO.gunzip against gzip, pigz, gunzip and a loop over
# Zlib::GzipWriter, how late a fiber wakes meanwhile, the peak of resident memory, and many streams
# at once. Each variant runs in a process of its own, all in turn.

require "tmpdir"
require_relative "support"

CHOSEN = Bench.options(
  rounds: 3, megabytes: 1024, streams: 200, level: 6, only: %w[gzip gunzip streams], directory: "/var/tmp"
)

# Text of words in random order: it shrinks about as much as a log does.
def make_sample(path, megabytes)
  random = Random.new(1)
  words = Array.new(5000) { random.bytes(random.rand(2..6)).unpack1("H*") }
  File.open(path, "wb") do |file|
    line = Array.new(200_000) { words[((random.rand**2) * words.size).floor] }.join(" ")
    piece = line.byteslice(0, 1 << 20)
    megabytes.times do |i|
      at = (i * 7919) % (piece.bytesize / 2)
      file.write(piece.byteslice(at..), piece.byteslice(0, at))
    end
  end
end

def ours(way, input, output, count: 1, threads: 1)
  Bench.ruby("benchmark/compression/streams.rb", way, input, output, count, CHOSEN[:level], threads)
end

# A program that is none of ours: its time and its CPU time.
def run_filter(command, input, output)
  before = Process.times
  start = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)
  system(*command, in: input, out: output) or raise Bench::Failed, command.join(" ")
  wall = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond) - start
  after = Process.times
  { wall_ns: wall, cpu_ns: (after.cutime + after.cstime - before.cutime - before.cstime) * 1e9 }
end

def installed?(command) = system("command -v #{command.first} >/dev/null")

# ours: by name, what takes the input and the output and gives a command. others: filters.
def compare(title, input, output, ours, others = {})
  results = Hash.new { |all, name| all[name] = [] }
  others = others.select { |_, command| installed?(command) }
  CHOSEN[:rounds].times do
    ours.each { |name, command| results[name] << Bench.run_json(command, limit: 600) }
    others.each { |name, command| results[name] << run_filter(command, input, output) }
  end
  puts title
  bytes = yield
  header = ["", "MB/s", "CPU ns/KB", "a fiber is late: p99 ms", "at worst", "peak MB"]
  Bench.table(header, results.map { |name, rounds| row(name, rounds, bytes) })
  puts
end

def row(name, rounds, bytes)
  middle = ->(key) { rounds.first[key] && Bench.median(rounds.map { _1[key] }) }
  cells = [bytes * 1e3 / middle[:wall_ns], middle[:cpu_ns] / (bytes / 1024.0)].map { format("%.0f", _1) }
  late = %i[p99_ns worst_ns].map { |key| middle[key] && format("%.2f", middle[key] / 1e6) }
  [name, *cells, *late, middle[:peak_kb] && format("%.0f", middle[:peak_kb] / 1024.0)]
end

def gzip(sample, output)
  level = "-#{CHOSEN[:level]}"
  ours = { "IO.gzip" => ours("gzip", sample, output),
           "IO.gzip, 2 threads" => ours("gzip", sample, output, threads: 2),
           "Zlib::GzipWriter" => ours("writer", sample, output) }
  others = { "gzip" => ["gzip", level], "pigz -p2" => ["pigz", "-p2", level] }
  compare("Compressing #{CHOSEN[:megabytes]} MB", sample, output, ours, others) { File.size(sample) }
end

def gunzip(sample, output)
  compressed = "#{output}.gz"
  run_filter(["gzip", "-6"], sample, compressed)
  ours = { "IO.gunzip" => ours("gunzip", compressed, output) }
  compare("Decompressing them", compressed, output, ours, { "gunzip" => ["gunzip"] }) { File.size(sample) }
end

def streams(sample, output)
  part = "#{output}.part"
  size = [File.size(sample) / CHOSEN[:streams], 1].max
  IO.copy_stream(sample, part, size)
  ours = { "IO.gzip" => ours("gzip", part, output, count: CHOSEN[:streams]),
           "Zlib::GzipWriter" => ours("writer", part, output, count: CHOSEN[:streams]) }
  title = "#{CHOSEN[:streams]} streams at once, as many bytes in all"
  compare(title, part, output, ours) { size * CHOSEN[:streams] }
end

puts Bench.machine_line, ""
Dir.mktmpdir(nil, CHOSEN[:directory]) do |folder|
  sample, output = %w[sample output].map { |name| File.join(folder, name) }
  make_sample(sample, CHOSEN[:megabytes])
  { "gzip" => :gzip, "gunzip" => :gunzip, "streams" => :streams }.slice(*CHOSEN[:only]).each_value do |part|
    send(part, sample, output)
  end
end
