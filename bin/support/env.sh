# The environment of every script that runs Ruby or cargo here. Sourced, not run:
#
#   source "$(dirname "${BASH_SOURCE[0]}")/support/env.sh"
#   load_environment            # or: load_environment 3.3
#   "$RUBY" -I "$PROJECT_ROOT/lib" program.rb
#   "${RSPEC[@]}" spec/some_spec.rb
#
# load_environment exports RUBY, RUBY_SERIES, PATH, CARGO_TARGET_DIR and whatever RSpec needs
# (GEM_PATH or BUNDLE_*), and sets the array RSPEC. bin/setup must have run before.
# shellcheck shell=bash
# shellcheck source=bin/support/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=bin/support/ruby.sh
source "$(dirname "${BASH_SOURCE[0]}")/ruby.sh"

DEBIAN_GEMS=/usr/share/rubygems-integration/all
# Debian's packages, unpacked and not installed: RSpec and Rack are there where neither Bundler nor
# this Ruby has them, and what spec/ecosystem runs.
CACHED_PACKAGES="$CACHE_ROOT/debian"
RACK_PACKAGES=(ruby-rack)
RSPEC_PACKAGES=(ruby-diff-lcs ruby-rspec ruby-rspec-core ruby-rspec-expectations ruby-rspec-mocks
  ruby-rspec-support)
# Async and what it needs, of Debian's unstable suite, for programs that specs run on it.
CACHED_ASYNC="$CACHE_ROOT/debian-sid"

# use_ruby: takes over what find_ruby has found.
use_ruby() {
  export RUBY=$RUBY_PATH RUBY_SERIES
  export PATH="${RUBY%/*}:$PATH"
  # One target folder per series: rb-sys compiles against the headers of one Ruby.
  export CARGO_TARGET_DIR="$PROJECT_ROOT/target/ruby-$RUBY_SERIES"
  # Sources and test data are UTF-8, also on machines that have no locale set.
  [ -n "${LC_ALL:-}${LANG:-}" ] || export LANG=C.UTF-8
  # Where spec/ecosystem finds what nobody here wrote: pure Ruby, and what is compiled for this Ruby.
  COMPILED_GEMS="$CACHE_ROOT/gems-$RUBY_SERIES"
  export ECOSYSTEM_FOLDERS="$CACHED_PACKAGES:$COMPILED_GEMS"
}

# The first cargo that can read this workspace: Debian's may be too old, and rustup's not on PATH yet.
use_cargo() {
  local candidate
  while IFS= read -r candidate; do
    cargo_fits "$candidate" || continue
    [ "$(command -v cargo)" = "$candidate" ] || export PATH="${candidate%/*}:$PATH"
    return 0
  done < <(type -ap cargo || true; printf '%s\n' "${CARGO_HOME:-$HOME/.cargo}/bin/cargo")
  return 1
}

# cargo_fits COMMAND: it runs, reads the manifests, and its rustc is new enough for them.
cargo_fits() {
  local version
  (cd "$PROJECT_ROOT" && "$1" metadata --no-deps --offline --format-version 1) >/dev/null 2>&1 || return 1
  version=$("${1%/*}/rustc" --version 2>/dev/null | awk '{ print $2 }') || true
  [ -n "$version" ] && version_at_least "$version" "$(oldest_rust)"
}

oldest_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$PROJECT_ROOT/Cargo.toml"; }

# Which RSpec bin/setup settled for: bundler, debian or own (an rspec gem of this Ruby).
rspec_stamp() { printf '%s/rspec' "$CARGO_TARGET_DIR"; }

use_bundler() { export BUNDLE_GEMFILE="$PROJECT_ROOT/Gemfile" BUNDLE_PATH="$CACHE_ROOT/bundle"; }

# add_gems PACKAGE...: also looks for gems in those of the unpacked packages.
add_gems() {
  local package folder
  for package in "$@"; do
    folder="$CACHED_PACKAGES/$package$DEBIAN_GEMS"
    [ -d "$folder" ] || continue
    case ":${GEM_PATH:-}:" in
      *":$folder:"*) ;;
      *) export GEM_PATH="$folder${GEM_PATH:+:$GEM_PATH}" ;;
    esac
  done
}

# use_rspec SOURCE
use_rspec() {
  # Not the `rspec` command: its first line would pick whichever Ruby comes first on PATH.
  # RSpec looks at its own name to decide whether spec/ is the default.
  # shellcheck disable=SC2016
  RSPEC=("$RUBY" -r rspec/core -e '$0 = "rspec"; RSpec::Core::Runner.invoke' --)
  case $1 in
    bundler)
      use_bundler
      RSPEC=("$RUBY" -r bundler/setup "${RSPEC[@]:1}")
      ;;
    debian) add_gems "${RSPEC_PACKAGES[@]}" ;;
    own) ;;
    *) die "unknown source of RSpec: $1" "bin/setup" ;;
  esac
  add_gems "${RACK_PACKAGES[@]}"
  export ASYNC_FOLDER=$CACHED_ASYNC
}

# load_environment [SERIES]
load_environment() {
  find_ruby "${1:-}" || die "no Ruby $OLDEST_RUBY or newer${1:+ of series $1} was found" "bin/setup${1:+ --ruby-version $1}"
  use_ruby
  use_cargo || true
  local source
  source=$(head -n 1 "$(rspec_stamp)" 2>/dev/null) || die "this checkout is not set up for Ruby $RUBY_SERIES" \
    "bin/setup${1:+ --ruby-version $1}"
  use_rspec "$source"
}
