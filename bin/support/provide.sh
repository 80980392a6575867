# What bin/setup provides: each function checks for one thing, and brings it or names the cure.
# Sourced after env.sh, not run.
# shellcheck shell=bash

OLDEST_CARGO=1.85

provide_compiler() {
  command -v cc >/dev/null 2>&1 || apt_install build-essential
}

provide_cargo() {
  use_cargo
  local install='curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh' version
  command -v rustup >/dev/null 2>&1 && install='rustup toolchain install stable && rustup default stable'
  version=$(cargo --version 2>/dev/null | awk '{ print $2 }') || true
  [ -n "$version" ] || die "cargo is missing; $OLDEST_CARGO or newer is needed" "$install"
  version_at_least "$version" "$OLDEST_CARGO" ||
    die "cargo $version is too old; $OLDEST_CARGO or newer is needed" "$install"
}

# bindgen, which rb-sys runs, loads libclang.
provide_libclang() {
  [ -z "${LIBCLANG_PATH:-}" ] || return 0
  compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null && return 0
  [[ $(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true) == *libclang* ]] && return 0
  command -v llvm-config >/dev/null 2>&1 && return 0
  apt_install libclang-dev
}

# apt_ruby [SERIES]: installs the distribution's Ruby if that is new enough.
apt_ruby() {
  local candidate
  candidate=$(apt-cache policy ruby 2>/dev/null | awk '/Candidate:/ { sub(/^[0-9]+:/, "", $2); print $2 }')
  [[ $candidate =~ ^[0-9]+\.[0-9]+ ]] || return 1
  version_at_least "$candidate" "$OLDEST_RUBY" || return 1
  [ -z "${1:-}" ] || [ "${BASH_REMATCH[0]}" = "$1" ] || return 1
  apt_install ruby ruby-dev
}

# One build at a time: another checkout's bin/setup may be at it already.
build_cached_ruby() {
  local series=$1
  mkdir -p "$CACHE_ROOT"
  (
    flock 9
    ruby_fits "$(cached_ruby "$series")" "$series" && exit 0
    say "building Ruby $series once, into $CACHE_ROOT (about $((10 / $(nproc) + 1)) minutes)"
    bash "$PROJECT_ROOT/bin/support/build_ruby.sh" "$series" "$CACHE_ROOT/ruby-$series"
  ) 9>"$CACHE_ROOT/ruby-$series.lock"
}

# provide_ruby [SERIES]
provide_ruby() {
  local wanted=${1:-}
  if ! find_ruby "$wanted"; then
    if ! apt_ruby "$wanted"; then
      build_cached_ruby "${wanted:-$PREFERRED_RUBY}" || {
        [ -z "$wanted" ] || die "Ruby $wanted could not be built" "RUBY=/path/to/ruby bin/setup"
        say "Ruby $PREFERRED_RUBY could not be built; trying $OLDEST_RUBY"
        build_cached_ruby "$OLDEST_RUBY" ||
          die "no Ruby $OLDEST_RUBY or newer could be found or built" "RUBY=/path/to/ruby bin/setup"
      }
    fi
    find_ruby "$wanted" || die "no Ruby $OLDEST_RUBY or newer was found" "RUBY=/path/to/ruby bin/setup"
  fi
  use_ruby
  provide_ruby_headers
}

provide_ruby_headers() {
  "$RUBY" --disable=gems -rrbconfig -e \
    'exit File.exist?(File.join(RbConfig::CONFIG["rubyhdrdir"], "ruby.h"))' && return 0
  case $RUBY in
    /usr/bin/*) apt_install ruby-dev ;;
    *) die "the headers of $RUBY are missing" "install its development package, or set RUBY" ;;
  esac
}

# Bundler is tried once per Gemfile and Ruby: a machine without a gem server then isn't slow twice.
provide_rspec() {
  local stamp key kind
  stamp=$(rspec_stamp)
  key=$(printf '%s\n' "$RUBY_TITLE" "$RUBY" | cat - "$PROJECT_ROOT/Gemfile" | cksum)
  if [ "$(tail -n 1 "$stamp" 2>/dev/null)" = "$key" ] && rspec_works "$(head -n 1 "$stamp")"; then
    return 0
  fi
  mkdir -p "${stamp%/*}"
  if install_bundle "${stamp%/*}/bundler.log" && rspec_works bundler; then
    kind=bundler
  elif rspec_works own; then
    kind=own
  else
    say "Bundler could not provide RSpec (${CARGO_TARGET_DIR#"$PROJECT_ROOT"/}/bundler.log says why): using Debian's"
    apt_install ruby-rspec
    rspec_works debian || die "Debian's RSpec does not run on $RUBY_TITLE" "gem install rspec"
    kind=debian
  fi
  printf '%s\n' "$kind" "$key" >"$stamp"
}

rspec_works() {
  (use_rspec "$1" && "${RSPEC[@]}" --version) >/dev/null 2>&1
}

# The Rack server's specs run applications by the rack gem. Follows provide_rspec.
provide_rack() {
  local kind
  kind=$(head -n 1 "$(rspec_stamp)")
  rack_works "$kind" && return 0
  say "fetching Rack 3 into $CACHE_ROOT"
  command -v apt-get >/dev/null 2>&1 || die "the rack gem is missing" "gem install rack"
  mkdir -p "$CACHE_ROOT"
  unpack_rack
  rack_works "$kind" || die "Rack 3 does not run on $RUBY_TITLE" "gem install rack"
}

rack_works() {
  local options=()
  [ "$1" != bundler ] || options=(-r bundler/setup)
  (use_rspec "$1" && "$RUBY" "${options[@]}" -e 'gem "rack", "~> 3.0"; require "rack"') >/dev/null 2>&1
}

# One at a time: another checkout's bin/setup may be at it already.
unpack_rack() (
  # shellcheck source=bin/support/debian.sh
  source "$PROJECT_ROOT/bin/support/debian.sh"
  flock 9
  [ -d "$CACHED_RACK" ] || unpack_debian_packages trixie "$CACHED_PACKAGES" ruby-rack
) 9>"$CACHE_ROOT/debian.lock"

install_bundle() {
  say "asking Bundler for RSpec (a minute at most)"
  (
    use_bundler
    BUNDLE_TIMEOUT=5 BUNDLE_RETRY=0 timeout --kill-after=5 60 "$RUBY" -S bundle install
  ) >"$1" 2>&1
}
