# frozen_string_literal: true

# Watching files and folders.
class UringMachine
  # Yields what happens to a file, or in a folder and all folders below it, also those that are
  # made later. Symbolic links are not followed.
  #
  #   machine.file_watch("/etc", UM::IN_CLOSE_WRITE) { |event| puts event[:fn] }
  #
  # A new folder is watched once its own event was yielded: what happens in it before that is not
  # seen, but folders that are in it by then are watched too. Where the kernel's queue was full and
  # events were lost, an event with the mask `IN_Q_OVERFLOW` says so.
  # @param root [String] the file or folder
  # @param mask [Integer] the events to yield: `IN_*`
  # @yieldparam event [Hash] `mask:` of the event, `fn:` the full path
  # @return [Object] only when the fiber is scheduled with a value, which is returned
  def file_watch(root, mask, &block)
    raise LocalJumpError, "no block given" unless block

    submit # refuses a machine that can't be used here, before there is something to close
    fd = UringMachine.inotify_init
    FileWatch.new(self, fd, root, mask).run(&block)
  ensure
    close(fd) if fd
  end

  # A tree of watched folders.
  class FileWatch
    # What must be known in order to follow folders that are made and moved.
    FOLLOW = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO
    # What the kernel reports unasked.
    UNASKED = IN_Q_OVERFLOW | IN_UNMOUNT
    # A path that is not a folder, or not one of ours, any more.
    NOT_THERE = [Errno::ENOENT, Errno::ENOTDIR, Errno::EACCES, Errno::ENAMETOOLONG].freeze

    private_constant :FOLLOW, :UNASKED, :NOT_THERE

    def initialize(machine, fd, root, mask)
      raise TypeError, "mask must be an Integer" unless mask.is_a?(Integer)
      raise ArgumentError, "mask names no event" unless mask.anybits?(IN_ALL_EVENTS)

      @machine = machine
      @fd = fd
      # In the encoding that names of files come in, so that they can be joined.
      @root = File.absolute_path(root).force_encoding(Encoding.find("filesystem"))
      @wanted = (mask & IN_ALL_EVENTS) | UNASKED
      @mask = (mask & (IN_ALL_EVENTS | IN_EXCL_UNLINK)) | FOLLOW
      @paths = {} # by watch
    end

    def run
      watch_root
      events = @machine.inotify_get_events(@fd)
      while events.is_a?(Array)
        events.each do |event|
          next unless (path = locate(**event))

          yield(mask: event[:mask], fn: path) if event[:mask].anybits?(@wanted)
          follow(path, event[:mask])
        end
        events = @machine.inotify_get_events(@fd)
      end
      events
    end

    private

    # The path that an event is about; nil where it is of no interest any more.
    def locate(wd:, mask:, name:)
      return @root if mask.anybits?(IN_Q_OVERFLOW)

      @paths.delete(wd) if mask.anybits?(IN_IGNORED)
      folder = @paths[wd]
      folder && name ? File.join(folder, name) : folder
    end

    # A moved folder keeps its watch: in the tree it is given its new path, else its events are
    # dropped.
    def follow(path, mask)
      return watch_below([@root]) if mask.anybits?(IN_Q_OVERFLOW)
      return unless mask.anybits?(IN_ISDIR)

      forget(path) if mask.anybits?(IN_MOVED_FROM)
      watch_below([path]) if mask.anybits?(IN_CREATE | IN_MOVED_TO) && watch_folder(path)
    end

    def forget(folder)
      @paths.delete_if { |_, path| path == folder || path.start_with?("#{folder}/") }
    end

    def watch_root
      watch(@root, @mask)
      watch_below([@root])
    end

    # Each folder is watched before it is listed, so that none is missed in between.
    def watch_below(folders)
      while (folder = folders.pop)
        folders.concat(folders_in(folder).select { |path| watch_folder(path) })
      end
    end

    def folders_in(folder)
      Dir.children(folder).map { |name| File.join(folder, name) }.select { |path| File.directory?(path) }
    rescue *NOT_THERE
      []
    end

    # Whether it is a folder, and still there.
    def watch_folder(path)
      watch(path, @mask | IN_ONLYDIR | IN_DONT_FOLLOW)
      true
    rescue *NOT_THERE
      false
    end

    def watch(path, mask)
      @paths[UringMachine.inotify_add_watch(@fd, path, mask)] = path
    end
  end
  private_constant :FileWatch
end
