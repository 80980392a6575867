# frozen_string_literal: true

require "fileutils"
require "open3"

# A Ruby that can't load the extension says why, and what helps.
RSpec.describe "a Ruby that can't load the extension" do
  root = File.expand_path("../..", __dir__)
  # Those that programs require.
  entrances = %w[
    polyphony polyphony-rs uringmachine uringmachine/actor uringmachine/rack_server
    uringmachine/scheduler_contract uringmachine/selector
  ]
  # A Ruby of the system that is too old, if there is one: Debian 12's is.
  old = [ENV.fetch("OLD_RUBY", "/usr/bin/ruby")].find do |path|
    next unless File.executable?(path)

    version, status = Open3.capture2(path, "--disable=gems", "-e", "print RUBY_VERSION")
    status.success? && Gem::Version.new(version) < Gem::Version.new("3.3")
  end

  # lib/ without libraries, in a folder that is a checkout or not.
  def copy_of_lib(checkout:, prepared: [])
    Dir.mktmpdir("polyphony-lib") do |folder|
      FileUtils.cp_r(SpecSupport::Subprocess::LIB, folder)
      FileUtils.rm_rf(File.join(folder, "lib/polyphony_rs"))
      prepared.each do |series|
        FileUtils.mkdir_p(File.join(folder, "lib/polyphony_rs", series))
        FileUtils.touch(File.join(folder, "lib/polyphony_rs", series, "polyphony_rs.so"))
      end
      FileUtils.mkdir(File.join(folder, "bin"))
      FileUtils.touch(File.join(folder, "bin/setup")) if checkout
      yield folder
    end
  end

  # What `require` says in this Ruby, or in this one under another's number.
  def message_of(folder, version: nil)
    other = version ? "Object.send(:remove_const, :RUBY_VERSION); RUBY_VERSION = #{version.inspect}" : ""
    program = <<~RUBY
      #{other}
      begin
        require "uringmachine"
      rescue LoadError => e
        print e.message
      end
    RUBY
    environment = { "RUBYLIB" => nil, "RUBYOPT" => nil }
    Open3.capture2(environment, RbConfig.ruby, "-I", File.join(folder, "lib"), "-e", program).first
  end

  it "because it is too old, names bin/ruby where bin/setup has run" do
    copy_of_lib(checkout: true, prepared: %w[3.3 3.4]) do |folder|
      expect(message_of(folder, version: "3.1.2")).to eq(<<~TEXT.chomp)
        polyphony-rs: Ruby 3.1.2 is too old; 3.3 or newer is needed
          it is: #{RbConfig.ruby}
          to mend it: #{folder}/bin/ruby program.rb, which is the Ruby that bin/setup has prepared (3.3, 3.4)
      TEXT
    end
  end

  it "because it is too old, names bin/setup where that hasn't run" do
    copy_of_lib(checkout: true) do |folder|
      message = message_of(folder, version: "3.2.9")
      expect(message).to match(/Ruby 3\.2\.9 is too old; 3\.3 or newer/)
        .and match(%r{to mend it: #{folder}/bin/setup, .* #{folder}/bin/ruby program\.rb$})
    end
  end

  it "because it is too old, names no script of a checkout in a gem" do
    copy_of_lib(checkout: false) do |folder|
      expect(message_of(folder, version: "2.7.8")).to match(/is too old.*to mend it: gem install/m)
    end
  end

  it "because it was compiled for others, names the command that compiles it for this one" do
    copy_of_lib(checkout: true) do |folder|
      expect(message_of(folder)).to end_with("to mend it: RUBY=#{RbConfig.ruby} #{folder}/bin/setup")
    end
    copy_of_lib(checkout: false) do |folder|
      expect(message_of(folder)).to end_with("to mend it: gem pristine polyphony-rs")
    end
  end

  it "is taken for one at the same version everywhere" do
    texts = ["polyphony-rs.gemspec", "bin/support/ruby.sh"].map { |name| File.read(File.join(root, name)) }
    oldest = [texts[0][/required_ruby_version = ">= ([\d.]+)"/, 1], texts[1][/^OLDEST_RUBY=([\d.]+)/, 1]]
    expect(oldest).to eq(%w[3.3 3.3])
    copy_of_lib(checkout: true) do |folder|
      versions = %w[3.2.99 3.3.0 3.10.0 4.0.0]
      too_old = versions.select { |version| message_of(folder, version:).include?("too old") }
      expect(too_old).to eq(%w[3.2.99])
    end
  end

  entrances.each do |feature|
    it "can read #{feature} so far" do
      skip "no Ruby older than 3.3 here (OLD_RUBY)" unless old
      environment = { "RUBYLIB" => nil, "RUBYOPT" => nil, "GEM_PATH" => nil }
      output, = Open3.capture2e(environment, old, "-I", File.join(root, "lib"), "-r", feature, "-e", "nil")
      expect(output).to include("is too old; 3.3 or newer is needed").and include("#{root}/bin/ruby program")
    end
  end
end
