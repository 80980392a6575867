# What bin/setup provides: each function checks for one thing, and brings it or names the cure.
# Sourced after env.sh, not run.
# shellcheck shell=bash

# Without package lists apt knows of nothing, not even of a Ruby that is new enough.
provide_package_lists() {
  ! command -v apt-get >/dev/null 2>&1 || has_package_lists || [ "$(id -u)" -ne 0 ] ||
    apt-get update -q >/dev/null 2>&1 || true
}

has_package_lists() { apt-cache show libclang-dev >/dev/null 2>&1; }

# What somebody who isn't root has to ask for is said in one go, before anything is built. For root
# it is installed piece by piece, as each turns out to be missing.
ask_for_packages() {
  local wanted=${1:-} packages=()
  if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -eq 0 ]; then return 0; fi
  { compiles_c && find_ruby "$wanted"; } || has_package_lists || die "apt has no package lists" "sudo apt-get update"
  compiles_c || packages+=(build-essential)
  sees_libclang || packages+=(libclang-dev)
  if ! find_ruby "$wanted"; then
    if apt_has_ruby "$wanted"; then
      packages+=(ruby ruby-dev)
    else
      [ -z "$wanted" ] || check_source_package "$wanted"
      packages+=("${RUBY_BUILD_PACKAGES[@]}")
    fi
  fi
  apt_install "${packages[@]}"
}

compiles_c() {
  printf '#include <limits.h>\n#include <linux/types.h>\nint main(void) { return 0; }\n' |
    cc -x c - -o /dev/null 2>/dev/null
}

# A guess beforehand; provide_extension asks bindgen itself.
sees_libclang() {
  compgen -G "${LIBCLANG_PATH:-/nonexistent}/libclang*.so*" >/dev/null ||
    dpkg-query -W -f='${Status}\n' 'libclang-*dev' 2>/dev/null | grep -q 'ok installed' ||
    (ldconfig -p 2>/dev/null || /sbin/ldconfig -p) 2>/dev/null | grep -qE 'libclang(-[0-9.]+)?\.so'
}

provide_cargo() {
  use_cargo && return 0
  local install=$RUSTUP found
  command -v rustup >/dev/null 2>&1 && install='rustup toolchain install stable && rustup default stable'
  if version_at_least "$(apt_candidate cargo)" "$(oldest_rust)"; then
    apt_install cargo rustc rustfmt rust-clippy
    use_cargo && return 0
  fi
  found=$(cargo --version 2>/dev/null | awk '{ print $2 }') || true
  [ -n "$found" ] || found=$(type -P cargo) && found=${found:+"$found, which doesn't run,"} || true
  die "Rust $(oldest_rust) or newer is needed with its cargo, and ${found:-none} is there" "$install"
}

# apt_candidate PACKAGE: the version that apt would install, 0 if there is none.
apt_candidate() {
  local version
  version=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ { sub(/^[0-9]+:/, "", $2); print $2 }') || true
  case $version in [0-9]*) printf '%s\n' "$version" ;; *) echo 0 ;; esac
}

# provide_extension PROFILE: compiles it. What cargo turns out to lack is installed, and it goes on.
provide_extension() {
  local packages log="$CARGO_TARGET_DIR/toolchain.log"
  [ -d "$CARGO_TARGET_DIR/$1" ] ||
    say "compiling the extension for Ruby $RUBY_SERIES, profile $1 (one to two minutes the first time)"
  mkdir -p "$CARGO_TARGET_DIR"
  until compile_extension "$1" "$log"; do
    mapfile -t packages < <(grep -v '^$' "$log.packages" || true)
    # What is installed and doesn't do won't do by being asked again.
    if ! lacks_packages "${packages[@]}"; then
      cat "$log" >&2
      die "the extension did not compile"
    fi
    apt_install "${packages[@]}"
  done
  install_extension "$1"
}

# What cargo is doing is shown as it goes, what has gone wrong only if nothing helps.
compile_extension() {
  local status=0
  "$RUBY" "$PROJECT_ROOT/ext/polyphony_rs/toolchain.rb" --profile "$1" --target-dir "$CARGO_TARGET_DIR" \
    2> >(tee "$2" | grep --line-buffered -E '^ {3,}[A-Z][a-z]+ ' >&2) >"$2.packages" || status=$?
  wait "$!" 2>/dev/null || true
  return "$status"
}

# Replaced by a rename: processes that run the old one keep it.
install_extension() {
  local built="$CARGO_TARGET_DIR/$1/libpolyphony_rs.so" folder="$PROJECT_ROOT/lib/polyphony_rs/$RUBY_SERIES"
  local installed="$folder/polyphony_rs.so"
  [ -f "$built" ] || die "cargo has put the library elsewhere than $built" "unset CARGO_BUILD_TARGET"
  cmp -s "$built" "$installed" && return 0
  mkdir -p "$folder"
  cp "$built" "$installed.$$"
  mv "$installed.$$" "$installed"
}

check_extension() {
  "$RUBY" -I "$PROJECT_ROOT/lib" -e 'require "uringmachine/native"' ||
    die "the extension was compiled but does not load"
}

# apt_has_ruby [SERIES]: the distribution's Ruby is new enough.
apt_has_ruby() {
  local candidate
  candidate=$(apt_candidate ruby)
  version_at_least "$candidate" "$OLDEST_RUBY" || return 1
  [ -z "${1:-}" ] || [ "$(cut -d. -f1,2 <<<"${candidate%%[+~-]*}")" = "$1" ]
}

apt_ruby() { apt_has_ruby "$@" && apt_install ruby ruby-dev; }

check_source_package() {
  has_source_package "$1" ||
    die "no Ruby $1 was found, and Debian has no source package of it" "RUBY=/path/to/ruby bin/setup"
}

# One build at a time: another checkout's bin/setup may be at it already.
build_cached_ruby() {
  local series=$1
  check_source_package "$series"
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
    provide_debian_packages "${RSPEC_PACKAGES[@]}"
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
  provide_debian_packages "${RACK_PACKAGES[@]}"
  rack_works "$kind" || die "Rack 3 does not run on $RUBY_TITLE" "gem install rack"
}

rack_works() {
  local options=()
  [ "$1" != bundler ] || options=(-r bundler/setup)
  (use_rspec "$1" && "$RUBY" "${options[@]}" -e 'gem "rack", "~> 3.0"; require "rack"') >/dev/null 2>&1
}

# provide_debian_packages PACKAGE...: unpacked into the cache folder, nothing is installed.
provide_debian_packages() {
  command -v apt-get >/dev/null 2>&1 || die "gems are missing, and no gem server answers" "gem install rspec rack"
  say "fetching $* into $CACHE_ROOT"
  mkdir -p "$CACHE_ROOT"
  unpack_missing_packages "$@" || die "Debian's packages could not be fetched" "gem install rspec rack"
}

# One at a time: another checkout's bin/setup may be at it already.
unpack_missing_packages() (
  # shellcheck source=bin/support/debian.sh
  source "$PROJECT_ROOT/bin/support/debian.sh"
  flock 9
  missing=()
  for package in "$@"; do
    [ -d "$CACHED_PACKAGES/$package" ] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] || unpack_debian_packages trixie "$CACHED_PACKAGES" "${missing[@]}"
) 9>"$CACHE_ROOT/debian.lock"

install_bundle() {
  say "asking Bundler for RSpec (a minute at most)"
  (
    use_bundler
    BUNDLE_TIMEOUT=5 BUNDLE_RETRY=0 timeout --kill-after=5 60 "$RUBY" -S bundle install
  ) >"$1" 2>&1
}
