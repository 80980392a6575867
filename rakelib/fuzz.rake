# frozen_string_literal: true

desc "Fuzz each target, or one, for so many seconds"
task :fuzz, [:seconds, :target] do |_task, arguments|
  seconds = Integer(arguments[:seconds] || 60)
  # The fuzzer's coverage and AddressSanitizer are unstable; this lets the stable compiler have them.
  environment = { "RUSTC_BOOTSTRAP" => "1", "CARGO_TARGET_DIR" => File.expand_path("target/fuzz") }
  targets = arguments[:target] ? [arguments[:target]] : `cargo fuzz list`.split
  abort "no fuzz targets: is cargo-fuzz installed? See fuzz/README.md" if targets.empty?

  targets.each do |target|
    # New inputs go to the first folder.
    folders = ["fuzz/corpus/#{target}", "fuzz/seeds/#{target}"]
    mkdir_p folders
    sh environment, "cargo", "fuzz", "run", target, *folders, "--", "-max_total_time=#{seconds}"
  end
end
