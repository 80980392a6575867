# frozen_string_literal: true

# Transfers, seen from the destination. `IO.splice`, `IO.double_splice`, `IO.tee`,
# `IO.http1_splice_chunked` and `Exception#bytes_moved` are native.
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
