# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"

# Compiles the extension, and says what is missing where that fails.
#
# Whether bindgen finds a libclang that it can load, or whether a header is where clang looks for it,
# nobody knows better than they do. So nothing is looked for beforehand: cargo compiles, and its
# failure is read. Used by extconf.rb when the gem is installed, and by bin/setup, which installs
# Debian's packages of the names that this prints:
#
#   ruby ext/polyphony_rs/toolchain.rb --profile release --target-dir target
class Toolchain
  ROOT = File.expand_path("../..", __dir__)

  OLDEST_RUST = File.read(File.join(ROOT, "Cargo.toml"))[/^rust-version = "(.*)"/, 1]

  # Something that a compilation needs: how cargo's words tell that it isn't there, why it is needed,
  # and the packages that bring it.
  Need = Struct.new(:name, :sign, :reason, :packages, keyword_init: true)

  # The first whose sign is found is what is missing.
  NEEDS = [
    Need.new(
      name: "a C compiler with make",
      sign: /linker `[^`]*` not found|failed to find tool|cannot find (?:'ld'|-lgcc)|cannot execute.*cc1/,
      reason: "Rust links by it, and RubyGems calls make",
      packages: { "Debian, Ubuntu" => "build-essential", "Fedora" => "gcc make", "Alpine" => "build-base" }
    ),
    Need.new(
      name: "libclang, with clang's own headers",
      sign: Regexp.union(
        /Unable to find libclang|libclang.*could not be opened|Dynamic loading not supported/,
        /'(?:stddef|stdarg|stdbool|stdint|stdalign|stdatomic|limits|float|\w*intrin)\.h' file not found/
      ),
      reason: "bindgen reads Ruby's headers with it; libclang-cpp and llvm-config don't do",
      packages: { "Debian, Ubuntu" => "libclang-dev", "Fedora" => "clang-devel", "Alpine" => "clang-dev" }
    ),
    Need.new(
      name: "the headers of #{RUBY_DESCRIPTION[/\A\S+ \S+/]}",
      sign: %r{'(?:ruby|ruby/[^']*)\.h' file not found},
      reason: "the extension is compiled against them",
      packages: { "Debian, Ubuntu" => "ruby-dev", "Fedora" => "ruby-devel", "Alpine" => "ruby-dev" }
    ),
    Need.new(
      name: "the headers of the C library and the kernel",
      sign: /'[^']+\.h' file not found|cannot find (?:Scrt1\.o|crti\.o|-lc\b)/,
      reason: "Ruby's own headers include them, and the extension is linked to the C library",
      packages: { "Debian, Ubuntu" => "libc6-dev linux-libc-dev", "Fedora" => "glibc-devel kernel-headers",
                  "Alpine" => "musl-dev linux-headers" }
    ),
    Need.new(
      name: "Rust #{OLDEST_RUST} or newer, with cargo",
      sign: Regexp.union(
        /edition2024|is not supported by the following package/,
        /rustup could not choose|could not execute process `rustc/
      ),
      reason: "the extension is written in it",
      packages: { "Debian 13, Ubuntu 25.10" => "cargo", "Fedora" => "cargo", "Alpine" => "cargo",
                  "elsewhere" => nil }
    )
  ].freeze

  INSTALLERS = Hash.new("apt-get install").update("Fedora" => "dnf install", "Alpine" => "apk add").freeze
  ELSEWHERE = "curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh"

  # What a failed compilation lacks.
  class Missing < StandardError
    # @return [Need, nil] nil where the failure has another reason
    attr_reader :need

    def initialize(need, log)
      @need = need
      super(need ? explain : "the extension did not compile\n#{log.lines.last(40).join}")
    end

    private

    def explain
      commands = need.packages.map do |system, packages|
        format("    %-24s %s", "#{system}:", packages ? "#{INSTALLERS[system]} #{packages}" : ELSEWHERE)
      end
      <<~MESSAGE
        polyphony-rs can't be compiled here.

          what is missing: #{need.name}
          why: #{need.reason}
          to mend it:
        #{commands.join("\n")}#{hint}
      MESSAGE
    end

    # A checkout has no other gem to offer. Where a folder was named for libclang, that is the cause.
    def hint
      folder = ENV.fetch("LIBCLANG_PATH", nil)
      if need.name.include?("libclang") && folder
        "\n\nLIBCLANG_PATH names #{folder}, and nothing that can be loaded is there: unset it."
      elsif !File.exist?(File.join(ROOT, "bin", "setup"))
        "\n\nOr take the precompiled gem, which needs nothing of it:\n    " \
          "gem install polyphony-rs --platform #{RUBY_PLATFORM}"
      end
    end
  end

  # @param profile [String] a profile of Cargo.toml
  # @param target_dir [String] where cargo works
  # @param progress [IO, nil] is told what is being compiled
  def initialize(profile:, target_dir:, progress: nil)
    @profile = profile
    @target_dir = target_dir
    @progress = progress
  end

  # Compiles the extension for the running Ruby.
  # @return [String] the library's path
  # @raise [Missing]
  def build
    log, status = run(cargo, "build", "--locked", "--package", "polyphony_rs", "--profile", @profile,
                      "--target-dir", @target_dir)
    return File.join(@target_dir, @profile, "libpolyphony_rs.so") if status.success?

    raise Missing.new(NEEDS.find { |need| need.sign.match?(log) }, log)
  end

  private

  # The first cargo that can read the manifests: a distribution's may be too old while rustup's is
  # there and not on PATH.
  def cargo
    home = ENV.fetch("CARGO_HOME") { File.join(Dir.home, ".cargo") }
    folders = [*ENV.fetch("PATH", "").split(File::PATH_SEPARATOR), File.join(home, "bin")]
    folders.map { |folder| File.join(folder, "cargo") }.find { |path| reads_manifests?(path) } or
      raise Missing.new(NEEDS.last, "")
  end

  def reads_manifests?(path)
    return false unless File.executable?(path)

    question = %w[metadata --no-deps --offline --format-version 1]
    _, status = Open3.capture2e(path, *question, chdir: ROOT)
    status.success?
  end

  def run(cargo, *arguments)
    log = +""
    Open3.popen2e(environment(cargo), cargo, *arguments, chdir: ROOT) do |input, output, thread|
      input.close
      output.each_line do |line|
        log << line
        # Cargo's own lines: a verb, right-aligned.
        @progress&.write(line) if line.match?(/\A {3,}[A-Z][a-z]+ /)
      end
      [log, thread.value]
    end
  end

  def environment(cargo)
    # rustc has to be the one that belongs to this cargo.
    settings = { "RUBY" => RbConfig.ruby, "CARGO_BUILD_TARGET" => nil,
                 "PATH" => [File.dirname(cargo), ENV.fetch("PATH", "")].join(":"),
                 "LC_ALL" => "C", "RUST_BACKTRACE" => "0", "CARGO_TERM_COLOR" => "never" }
    # On musl Rust links statically, and then neither Ruby could load the extension nor bindgen libclang.
    if RbConfig::CONFIG["arch"].include?("musl")
      settings["RUSTFLAGS"] = "#{ENV.fetch("RUSTFLAGS", "")} -C target-feature=-crt-static".strip
    end
    settings
  end
end

if $PROGRAM_NAME == __FILE__
  right = ARGV.size == 4 && ARGV.values_at(0, 2) == %w[--profile --target-dir]
  abort "usage: toolchain.rb --profile PROFILE --target-dir FOLDER" unless right

  options = Hash[*ARGV]
  profile, target_dir = options.fetch_values("--profile", "--target-dir")
  begin
    Toolchain.new(profile:, target_dir:, progress: $stderr).build
  rescue Toolchain::Missing => e
    warn e.message
    puts e.need.packages.fetch("Debian, Ubuntu", "").split if e.need
    exit 1
  end
end
