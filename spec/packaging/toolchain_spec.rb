# frozen_string_literal: true

require "fileutils"
require "open3"
require "tmpdir"

# What is said where the extension can't be compiled.
RSpec.describe "ext/polyphony_rs/toolchain.rb", :packaging, time_limit: 300 do
  toolchain = File.expand_path("../../ext/polyphony_rs/toolchain.rb", __dir__)

  # Its standard output, its standard error and its status.
  define_method(:compile) do |program = toolchain, **environment|
    folder = File.expand_path("../../target/toolchain-spec", __dir__)
    command = [RbConfig.ruby, program, "--profile", "release", "--target-dir", folder]
    Open3.capture3(environment.transform_keys(&:to_s), *command)
  end

  def stub_cargo(script)
    Dir.mktmpdir do |folder|
      program = "#!/bin/sh\n[ \"$1\" = metadata ] && exit 0\n#{script}\n"
      File.write(File.join(folder, "cargo"), program, perm: 0o755)
      yield({ PATH: "#{folder}:#{ENV.fetch("PATH")}" })
    end
  end

  {
    "Unable to find libclang: \"couldn't find any valid shared libraries\"" => "libclang-dev",
    "/usr/include/stdio.h:33:10: fatal error: 'stddef.h' file not found" => "libclang-dev",
    "wrapper.h:1:10: fatal error: 'ruby.h' file not found" => "ruby-dev",
    "limits.h:26:10: fatal error: 'bits/libc-header-start.h' file not found" => "libc6-dev linux-libc-dev",
    "bits/local_lim.h:38:10: fatal error: 'linux/limits.h' file not found" => "libc6-dev linux-libc-dev",
    "error: linker `cc` not found" => "build-essential",
    "/usr/bin/ld: cannot find Scrt1.o: No such file or directory" => "libc6-dev linux-libc-dev"
  }.each do |words, packages|
    it "understands cargo's #{words[/[^:]*\z/].strip.inspect}" do
      stub_cargo("cat >&2 <<'END'\nthread 'main' panicked\n#{words}\nEND\nexit 101") do |environment|
        output, errors, status = compile(**environment)
        expect(status.exitstatus).to eq(1)
        expect(output.split).to eq(packages.split)
        expect(errors).to include("apt-get install #{packages}", "dnf install", "apk add")
      end
    end
  end

  it "offers the precompiled gem where a gem is installed, and not in a checkout" do
    stub_cargo("echo 'error: linker `cc` not found'; exit 101") do |environment|
      expect(compile(**environment)[1]).not_to include("precompiled gem")
      Dir.mktmpdir do |gem|
        copy = File.join(gem, "ext/polyphony_rs/toolchain.rb")
        FileUtils.mkdir_p(File.dirname(copy))
        FileUtils.cp(toolchain, copy)
        FileUtils.cp(File.expand_path("../../Cargo.toml", __dir__), gem)
        expect(compile(copy, **environment)[1]).to include("precompiled gem", "--platform #{RUBY_PLATFORM}")
      end
    end
  end

  it "shows the end of what it doesn't understand" do
    stub_cargo("echo 'error[E0308]: mismatched types' >&2; exit 101") do |environment|
      output, errors, status = compile(**environment)
      expect([output, status.exitstatus]).to eq(["", 1])
      expect(errors).to include("did not compile", "E0308")
    end
  end

  it "asks for a Rust that is new enough where cargo can't read the workspace" do
    Dir.mktmpdir do |folder|
      File.write(File.join(folder, "cargo"), "#!/bin/sh\nexit 101\n", perm: 0o755)
      _, errors, status = compile(PATH: folder, CARGO_HOME: folder)
      expect(status.exitstatus).to eq(1)
      expect(errors).to include("what is missing: Rust 1.85 or newer", "rustup")
    end
  end

  # What was compiled for it stays in target/: the failing part is run each time.
  it "asks bindgen, which is not content with a folder that is named for libclang", :slow do
    Dir.mktmpdir do |folder|
      output, errors, = compile(LIBCLANG_PATH: folder)
      expect(output.split).to eq(["libclang-dev"])
      expect(errors).to include("LIBCLANG_PATH names #{folder}")
      expect(errors).not_to include("stack backtrace", "panicked")
    end
  end
end
