# frozen_string_literal: true

require "pty"
require_relative "machine_helpers"
require_relative "tls"

module SpecSupport
  # For specs of UM::IO: sources to read from, each with its far end.
  module UMIO
    # What to do without, for machines that do the same in other ways.
    WAYS = {
      "with all that this kernel can do" => "",
      "with a buffer for each chunk" => "incremental_buffers",
      "without multishot reads" => "read_multishot,incremental_buffers"
    }.freeze

    # Where bytes come from, whenever somebody writes them.
    SOURCES = {
      "a pipe" => :pipe_source,
      "a socket in mode :fd" => :fd_source,
      "a socket in mode :socket" => :socket_source,
      "a TLS connection" => :tls_source
    }.freeze

    # An IO and its far end. `feed` writes there, `finish` ends it.
    Source = Struct.new(:io, :feeder, :finisher) do
      def feed(*chunks) = chunks.each { |chunk| feeder.call(chunk) }
      def finish = finisher.call
    end

    def self.included(group)
      group.include(MachineHelpers, TLS)
      group.let(:stop) { MachineHelpers::Stop }
      # Before the machine may have no ops any more.
      group.after { clear_ios }
    end

    # An IO that is cleared after the example.
    def open_io(target, mode = nil) = machine.io(target, mode).tap { |io| (@opened ||= []) << io }

    def clear_ios
      machine.terminate(machine.fiber_set)
      snooze
      @opened&.each(&:clear)
    end

    def machine_without(names)
      before = ENV.fetch("POLYPHONY_WITHOUT", nil)
      ENV["POLYPHONY_WITHOUT"] = names
      UM.new
    ensure
      ENV["POLYPHONY_WITHOUT"] = before
    end

    def pipe_source = source_of(*pipe)

    def fd_source = source_of(*socketpair)

    def socket_source = source_of(*socketpair, :socket)

    def source_of(fd, other, mode = nil)
      Source.new(open_io(fd, mode), ->(chunk) { machine.write(other, chunk) }, -> { close(other) })
    end

    def tls_source
      server, client = tls_pair
      Source.new(open_io(server), ->(chunk) { machine.ssl_write(client, chunk, 0) }, -> { client.close })
    end

    # An IO on a pipe that these chunks are in, one segment each, and no more.
    def io_with(*chunks)
      pipe_source.then do |source|
        fiber = parked { source.io.read(1_000_000) }
        chunks.each do |chunk|
          source.feed(chunk)
          snooze
        end
        machine.schedule(fiber, nil)
        machine.join(fiber)
        source.finish
        source.io
      end
    end

    # Writes all of it from a fiber of its own, and ends the source.
    def send_all(source, data, size = 10_000)
      machine.spin do
        (0...data.bytesize).step(size) { |start| feed_all(source, data.byteslice(start, size)) }
        source.finish
      end
    end

    def feed_all(source, chunk)
      done = 0
      done += source.feeder.call(chunk.byteslice(done..)) while done < chunk.bytesize
    end

    def pool
      names = %i[buffers_allocated buffers_free segments_free buffer_space_allocated buffer_space_commited]
      machine.metrics.values_at(*names)
    end

    # Segments that nobody has given back.
    def unread_segments = -pool[2] % 256
  end
end
