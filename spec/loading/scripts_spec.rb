# frozen_string_literal: true

require "fileutils"
require "open3"
require "tmpdir"

# What a first hour begins with.
RSpec.describe "bin/" do
  root = File.expand_path("../..", __dir__)

  # A shell that knows nothing of this suite, but for the Ruby it runs on.
  shell = {
    "RUBY" => RbConfig.ruby, "RUBYLIB" => nil, "RUBYOPT" => nil, "IRBRC" => File::NULL,
    "BUNDLE_GEMFILE" => nil, "BUNDLE_PATH" => nil
  }

  # What a script prints, and its status; called from another folder.
  define_method(:script) do |name, *arguments, input: "", environment: {}|
    Open3.capture2e({ **shell, **environment }, File.join(root, "bin", name), *arguments,
                    stdin_data: input, chdir: Dir.tmpdir)
  end

  # The same of one that has to succeed.
  define_method(:output_of) do |*arguments, **options|
    output, status = script(*arguments, **options)
    expect(status).to be_success, output
    output
  end

  describe "ruby" do
    it "runs a program from anywhere, with its arguments" do
      Dir.mktmpdir do |folder|
        File.write(File.join(folder, "first.rb"), 'require "polyphony"; p spin { ARGV }.await')
        expect(output_of("ruby", File.join(folder, "first.rb"), "a b", "-c")).to eq(%(["a b", "-c"]\n))
      end
    end

    it "runs this Ruby, takes its options, and loads this checkout's library" do
      program = 'puts RbConfig.ruby, $LOADED_FEATURES.grep(/_rs\.so\z/)'
      lines = output_of("ruby", "-r", "uringmachine", "-e", program).lines(chomp: true)
      expect(lines).to match([RbConfig.ruby, start_with("#{root}/lib/polyphony_rs/")])
    end

    it "leaves the Gemfile to who calls it" do
      program = 'p ENV.values_at("BUNDLE_GEMFILE", "BUNDLE_PATH")'
      environment = { "BUNDLE_GEMFILE" => "/a/Gemfile", "BUNDLE_PATH" => "/b c" }
      expect(output_of("ruby", "-e", program, environment:)).to eq(%(["/a/Gemfile", "/b c"]\n))
      expect(output_of("ruby", "-e", program)).to eq("[nil, nil]\n")
    end

    it "ends as the program ends" do
      expect(script("ruby", "-e", "exit 7").last.exitstatus).to eq(7)
    end

    it "is found by a link, without a HOME, and with a CDPATH" do
      Dir.mktmpdir do |folder|
        link = File.join(folder, "run")
        File.symlink(File.join(root, "bin/ruby"), link)
        environment = { **shell, "HOME" => nil, "CDPATH" => ".:#{folder}" }
        expect(Open3.capture2e(environment, link, "-e", "p 1", chdir: folder).first).to eq("1\n")
      end
    end

    it "isn't taken for the Ruby that it looks for" do
      output, status = script("ruby", "-e", "p 1", environment: { "RUBY" => File.join(root, "bin/ruby") })
      expect([status.success?, output]).to match([false, /does not run as a Ruby/])
    end
  end

  describe "setup" do
    it "refuses what is no series of Ruby, or none that could be had" do
      answers = { "x" => /needs a number such as/, "3.1" => /too old/,
                  "9.9" => /Debian has no source package/ }
      answers.each do |series, words|
        output, status = script("setup", "--ruby-version", series, environment: { "RUBY" => nil })
        expect([status.success?, output]).to match([false, words])
      end
    end

    it "takes the first cargo that can read the workspace, also where none is on PATH" do
      Dir.mktmpdir do |folder|
        home = File.join(folder, "home/bin")
        FileUtils.mkdir_p(home)
        { "cargo" => "exit 0", "rustc" => "echo rustc 99.0.0" }.each do |name, line|
          File.write(File.join(home, name), "#!/bin/sh\n#{line}\n", perm: 0o755)
        end
        File.write(File.join(folder, "cargo"), "#!/bin/sh\nexit 101\n", perm: 0o755)
        [folder, "/nonexistent"].each do |first|
          environment = { **shell, "PATH" => "#{first}:/usr/bin:/bin", "CARGO_HOME" => File.dirname(home) }
          # Debian's own may be on this machine, and be new enough.
          program = <<~BASH
            set -e
            source #{root}/bin/support/env.sh
            type() { builtin type "$@" | grep -vE '^(/usr)?/bin/'; }
            use_cargo
            command -v cargo
          BASH
          expect(Open3.capture2e(environment, "bash", "-c", program).first).to eq("#{home}/cargo\n")
        end
      end
    end
  end

  describe "console" do
    it "has the gem loaded, also where nobody sits at it" do
      skip "no IRB here" unless script("ruby", "-r", "irb", "-e", "nil").last.success?
      output = output_of("console", "-f", "--noecho", input: "puts spin { sleep 0.01; 6 * 7 }.await\n")
      expect(output).to match(/^42$/)
    end

    it "says what to do where there is no IRB" do
      Dir.mktmpdir do |folder|
        File.write(File.join(folder, "irb.rb"), 'raise LoadError, "cannot load such file -- irb"')
        output, status = script("console", environment: { "RUBYLIB" => folder })
        expect(status.exitstatus).to eq(1)
        expect(output).to start_with("error: IRB could not be loaded into Ruby #{RUBY_VERSION}")
          .and include("to mend it: bin/ruby -S gem install irb")
      end
    end
  end
end
