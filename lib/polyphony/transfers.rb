# frozen_string_literal: true

# Transfers, seen from the destination. `IO.splice`, `IO.double_splice`, `IO.tee`,
# `IO.http1_splice_chunked`, `Exception#bytes_moved` and all of compression are native.
#
# The source of a compression is an IO, a {Polyphony::Pipe}, a descriptor, a String, or an object
# with `readpartial` or `read`; it is read to its end. Or it is called, as a Proc is: each `call`
# gives a String, or nil at the end. Its destination is an IO, a pipe, a descriptor, a String that is
# appended to, or an object with `write`, `call` or `<<`, which gets one piece after the other; it is
# not closed. Reading, computing on a worker thread and writing happen at the same time, while other
# fibers run.
#
# A stream that is compressed takes four buffers of `buffer_size` and about 400 KB; with `threads`
# about 0.5 MB for each of `2 * threads + 2` blocks, and 0.4 MB more for each that is compressed. One
# that is decompressed takes two of `buffer_size`, two of three times that, and about 50 KB.
#
# An exception that ends a stream tells how much was written ({Exception#bytes_moved}). The stream
# can't be gone on with: what was read from the source and not written is lost.
#
# @!method self.splice(src, dest, len = nil)
#   Moves bytes within the kernel where it can be done there; else they are copied.
#   @param len [Integer, nil] positive: one move of at most so many bytes. Negative: to EOF in
#     moves of at most `-len` bytes. nil: to EOF
#   @yieldparam moved [Integer] bytes that have reached the destination so far
#   @return [Integer] bytes moved; of one move, 0 at EOF
# @!method self.double_splice(src, dest, len = nil, half_close: true)
#   The same to EOF, through a pipe of its own where it needs one.
#   @param len [Integer, nil] negative: size of a move. Positive: most bytes in total
#   @param half_close [Boolean] whether a socket's EOF is passed on to another socket
#   @yieldparam moved [Integer] bytes that have reached the destination so far
#   @return [Integer] bytes moved
# @!method self.tee(src, dest, len)
#   Copies what a pipe holds to another pipe; it stays there to be read.
#   @return [Integer] bytes copied, 0 at EOF
#   @raise [Errno::EINVAL] where one of the two is no pipe
# @!method self.http1_splice_chunked(src, dest, max)
#   Moves to EOF in HTTP's chunked coding, the last chunk included. After an exception the
#   connection is of no further use: a chunk may be open.
#   @param max [Integer] most bytes of a chunk
#   @yieldparam moved [Integer] bytes of payload sent so far
#   @return [Integer] bytes of payload
# @!method self.gzip(src, dest, info = nil, level: 6, buffer_size: 65_536, threads: 1, sync: nil)
#   Compresses to a gzip member.
#   @param info [Hash, nil] for the header: `:orig_name`, `:comment`, and `:mtime`, which is a Time,
#     an Integer, nil (the present) or false (none). They may also be given as keywords
#   @param level [Integer, nil] 0 (not at all) to 9 (best)
#   @param buffer_size [Integer, nil] up to 16 MB
#   @param threads [Integer, nil] how many cores may work on the stream at once
#   @param sync [Boolean, nil] true: what has arrived is put out before more is waited for. nil:
#     when a pipe, a socket or a tty has been silent for 50 ms. false: never
#   @yieldparam written [Integer] bytes written so far
#   @return [Integer] bytes written
# @!method self.deflate(src, dest, level: 6, buffer_size: 65_536, threads: 1, sync: nil)
#   Compresses to a zlib stream. See {IO.gzip}.
#   @return [Integer] bytes written
# @!method self.gunzip(src, dest, info = nil, buffer_size: 98_304, max_output: nil)
#   Decompresses gzip members, one after the other.
#   @param info [Hash, nil] gets `:orig_name`, `:mtime` and `:comment` of the first one: nil where
#     it has no such text. The time is a Time; 0 (1970) where there is none, as `Zlib::GzipReader` has it.
#     Texts of more than 1 MiB are an error then; without `info` they are skipped, however long
#   @param max_output [Integer, nil] more bytes than this are an error. Without it, a small input
#     that comes from somebody else can fill a disk: set it for such
#   @yieldparam written [Integer] bytes written so far
#   @return [Integer] bytes written
#   @raise [Zlib::GzipFile::Error] for what is no gzip, cut, damaged, or followed by something else
#   @raise [Zlib::DataError] for invalid data, and beyond `max_output`
# @!method self.inflate(src, dest, buffer_size: 98_304, max_output: nil)
#   Decompresses a zlib stream. See {IO.gunzip}.
#   @return [Integer] bytes written
#   @raise [Zlib::BufError] for a stream that is cut
#   @raise [Zlib::DataError] for what is none, damaged, or followed by something else
class IO
  # @param src [IO, Polyphony::Pipe, Integer]
  # @param len [Integer, nil] see {IO.splice}
  # @return [Integer] bytes moved to this IO
  def splice_from(src, len = nil, &) = IO.splice(src, self, len, &)

  # @param src [IO, Polyphony::Pipe, Integer] a pipe
  # @param len [Integer] most bytes to copy
  # @return [Integer] bytes copied to this pipe; they stay in `src`
  def tee_from(src, len) = IO.tee(src, self, len)
end

# @!method Exception#bytes_moved
#   @return [Integer, Array<Integer>, nil] bytes that had reached the destination when this
#     exception ended a transfer; of {Polyphony.proxy}, those of both ways

# Proxies between ends that have no descriptors of their own.
module Polyphony
  # What {proxy} does where an end is an SSLSocket: a fiber for each way. When one of them fails, the
  # other one is ended.
  # @api private
  def self.proxy_by_fibers(one, other, totals)
    ways = [[one, other], [other, one]].each_with_index.map do |(from, to), index|
      ::Fiber.current.spin { IO.double_splice(from, to) { |moved| totals[index] = moved } }
    end
    ::Fiber.await(*ways)
  ensure
    left = ways&.reject(&:dead?)
    left&.each(&:terminate)
    Polyphony.machine.await(left) if left&.any?
  end
end
