# frozen_string_literal: true

module DescriptorStress
  # Every kind of transfer: what is under test. What is read here goes to `taken`, whatever else to
  # the destination.
  module Kinds
    # On the wire, where it isn't the stream itself.
    SOURCE_CODING = { gunzip: :gzip, inflate: :zlib }.freeze
    DESTINATION_CODING = { chunked: :chunked, gzip: :gzip, deflate: :zlib }.freeze
    # An interruption loses nothing of what an IO has given.
    CONSERVING = %i[splice splice_moves splice_pipe splice_pipe_object splice_tls double_splice
                    double_splice_open double_splice_tls chunked proxy tee read_loop recv_loop feed_loop
                    readpartial].freeze
    # An exception tells how much has reached the destination.
    COUNTING = %i[splice splice_tls double_splice double_splice_open double_splice_tls chunked proxy].freeze
    READERS = %i[read_loop recv_loop feed_loop gets read read_some readpartial machine_read machine_recv
                 machine_read_each machine_recv_each].freeze
    WRITERS = %i[machine_send machine_write write].freeze
    PROXIES = %i[proxy proxy_tls].freeze
    CHUNK = 4096

    module_function

    def run(connection)
      public_send(connection.plan.kind, connection, connection.source, connection.destination)
    end

    def splice(connection, from, to)
      len = connection.plan.len
      len.odd? ? IO.splice(from.given, to.given) : IO.splice(from.given, to.given, -len)
    end

    def splice_tls(_connection, from, to) = IO.splice(from.given, to.given)

    def splice_moves(connection, from, to)
      len = [connection.plan.len, 500].max
      nil while IO.splice(from.given, to.given, len).positive?
    end

    # What an interruption leaves in the pipe is the caller's to look after.
    def splice_pipe(connection, from, to)
      reader, writer = connection.between.any? ? connection.between : connection.between.replace(IO.pipe)
      len = [connection.plan.len, 500].max
      while (held = IO.splice(from.given, writer, len)).positive?
        held -= IO.splice(reader, to.given, held) while held.positive?
      end
    end

    # The second half runs in a fiber of its own, to its end. Where it has failed, the first one's
    # failure only follows from that.
    def splice_pipe_object(_connection, from, to)
      pipe = Polyphony.pipe
      second = spin { drain_pipe(pipe, to) }
      begin
        IO.splice(from.given, pipe)
      rescue Errno::EPIPE, IOError => e
        first = e
      ensure
        pipe.close
        error = wait_out(second)
      end
      raise error || first if error || first
    end

    # An interruption comes once: it doesn't keep the fiber from its end.
    def wait_out(fiber)
      fiber.await
    ensure
      fiber.await unless fiber.dead?
    end

    def drain_pipe(pipe, to)
      IO.splice(pipe, to.given)
      nil
    rescue IOError, SystemCallError => e
      e
    ensure
      pipe.close_read
    end

    def double_splice(_connection, from, to) = IO.double_splice(from.given, to.given)
    def double_splice_tls(_connection, from, to) = IO.double_splice(from.given, to.given)
    def double_splice_open(_connection, from, to) = IO.double_splice(from.given, to.given, half_close: false)
    def proxy(_connection, from, to) = Polyphony.proxy(from.given, to.given)
    def proxy_tls(_connection, from, to) = Polyphony.proxy(to.given, from.given)

    def chunked(connection, from, to)
      IO.http1_splice_chunked(from.given, to.given, [connection.plan.len, 20].max)
    end

    # What was copied is the next to be read, whole.
    def tee(connection, from, to)
      source = from.io
      while (copied = IO.tee(from.given, to.given, [connection.plan.len, 200].max)).positive?
        bytes = source.read_nonblock(copied)
        bytes << source.read_nonblock(copied - bytes.bytesize) while bytes.bytesize < copied
        connection.taken << bytes
      end
    end

    def gzip(_connection, from, to) = IO.gzip(from.given, to.given)
    def deflate(_connection, from, to) = IO.deflate(from.given, to.given, sync: true)
    def gunzip(_connection, from, to) = IO.gunzip(from.given, to.given)
    def inflate(_connection, from, to) = IO.inflate(from.given, to.given)
    def copy_stream(_connection, from, to) = IO.copy_stream(from.given, to.given)
    def loop_and_write(_connection, from, to) = from.given.read_loop { |chunk| to.given.write(chunk) }

    def read_loop(connection, from, _to) = from.given.read_loop { |chunk| connection.taken << chunk }
    def recv_loop(connection, from, _to) = from.given.recv_loop { |chunk| connection.taken << chunk }
    def feed_loop(connection, from, _to) = from.given.feed_loop(connection.taken, :<<)

    def gets(connection, from, _to)
      while (line = from.given.gets)
        connection.taken << line
      end
    end

    def read(connection, from, _to) = connection.taken << from.given.read

    def read_some(connection, from, _to)
      while (bytes = from.given.read(CHUNK))
        connection.taken << bytes
      end
    end

    def readpartial(connection, from, _to)
      loop { connection.taken << from.given.readpartial(CHUNK) }
    rescue EOFError
      nil
    end

    def machine_read(connection, from, _to)
      buffer = +""
      connection.taken << buffer while Polyphony.machine.read(from.given, buffer, CHUNK).positive?
    end

    def machine_recv(connection, from, _to)
      buffer = +""
      connection.taken << buffer while Polyphony.machine.recv(from.given, buffer, CHUNK, 0).positive?
    end

    def machine_read_each(connection, from, _to)
      Polyphony.machine.read_each(from.given) { |chunk| connection.taken << chunk }
    end

    def machine_recv_each(connection, from, _to)
      Polyphony.machine.recv_each(from.given, 0) { |chunk| connection.taken << chunk }
    end

    def machine_send(connection, _from, to)
      in_pieces(connection) { |piece| Polyphony.machine.send(to.given, piece, piece.bytesize, 0) }
    end

    def machine_write(connection, _from, to)
      in_pieces(connection) { |piece| Polyphony.machine.write(to.given, piece) }
    end

    def write(connection, _from, to) = in_pieces(connection) { |piece| to.given.write(piece) }

    def in_pieces(connection)
      bytes = connection.there.sent
      at = 0
      at += yield bytes.byteslice(at, connection.plan.len + 100) while at < bytes.bytesize
    end
  end
end
