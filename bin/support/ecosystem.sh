# Libraries that nobody here wrote, for spec/ecosystem. Sourced after provide.sh, not run.
#
# A gem server can't be counted on, so these are Debian's packages, in the cache folder and not
# installed: pure Ruby is unpacked, C is compiled from its source for the Ruby in use. What can't be
# had is noted with the reason, which the specs show, and tried again the next day.
# shellcheck shell=bash

ECOSYSTEM_RUBY=(ruby-concurrent ruby-connection-pool ruby-dalli ruby-excon ruby-faraday
  ruby-faraday-net-http ruby-net-http-persistent ruby-net-ssh ruby-nio4r ruby-redis ruby-redis-client
  ruby-sequel ruby-webrick)
# Source packages, and the package with the headers that one is compiled with.
ECOSYSTEM_C=(puma ruby-msgpack ruby-pg=libpq-dev ruby-sqlite3=libsqlite3-dev)

provide_ecosystem() {
  local missing_ruby missing_c package
  ecosystem_lacks || return 0
  say "fetching libraries for spec/ecosystem into $CACHE_ROOT (about a minute)"
  mkdir -p "$CACHED_PACKAGES" "$COMPILED_GEMS"
  fetch_ecosystem || true
  ecosystem_lacks || return 0
  for package in "${missing_ruby[@]/#/"$CACHED_PACKAGES/"}" "${missing_c[@]/#/"$COMPILED_GEMS/"}"; do
    note_missing "${package%%=*}" "it could not be fetched from Debian"
  done
}

# Sets missing_ruby and missing_c; fails if there is nothing in them.
ecosystem_lacks() {
  local package
  missing_ruby=() missing_c=()
  for package in "${ECOSYSTEM_RUBY[@]}"; do
    have_or_note "$CACHED_PACKAGES/$package" || missing_ruby+=("$package")
  done
  for package in "${ECOSYSTEM_C[@]}"; do
    have_or_note "$COMPILED_GEMS/${package%%=*}" || missing_c+=("$package")
  done
  [ $((${#missing_ruby[@]} + ${#missing_c[@]})) -gt 0 ]
}

# have_or_note FOLDER: it is there, or could not be had today.
have_or_note() { [ -d "$1" ] || [ -n "$(find "$1.missing" -mtime -1 2>/dev/null)" ]; }

# note_missing FOLDER REASON
note_missing() {
  say "spec/ecosystem goes without ${1##*/}: $2"
  printf '%s\n' "$2" >"$1.missing"
}

# One at a time: another checkout's bin/setup may be at it already, and leaves nothing to do.
fetch_ecosystem() (
  # shellcheck source=bin/support/debian.sh
  source "$PROJECT_ROOT/bin/support/debian.sh"
  flock 9
  ecosystem_lacks || exit 0
  [ ${#missing_ruby[@]} -eq 0 ] || unpack_debian_packages trixie "$CACHED_PACKAGES" "${missing_ruby[@]}"
  [ ${#missing_c[@]} -eq 0 ] || compile_gems "${missing_c[@]}"
) 9>"$CACHE_ROOT/debian.lock"

# The newest of each that the mirror has; a mirror need not have the sources of what it offers.
compile_gems() {
  local suites="sid trixie bookworm" work package
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder is known now
  trap "rm -rf '$work'" EXIT
  private_apt deb-src "$suites" "$work/apt"
  if ! (apt_install dpkg-dev && read_private_list) >"$work/log" 2>&1; then
    tail -n 20 "$work/log"
    return 1
  fi
  for package in "$@"; do
    compile_gem "$package" "$work/${package%%=*}" "$suites"
  done
}

# compile_gem PACKAGE[=HEADERS] WORK SUITES
compile_gem() {
  local name=${1%%=*} headers=${1#*=} work=$2 tree
  local folder="$COMPILED_GEMS/$name"
  mkdir -p "$work"
  if ! private_source "$name" "$work" "$work/log"; then
    note_missing "$folder" "the mirror has no source of $name in Debian's ${3// /, }"
    return
  fi
  tree=$(find "$work" -mindepth 1 -maxdepth 1 -type d)
  say "compiling ${tree##*/} for Ruby $RUBY_SERIES"
  if { [ "$headers" = "$name" ] || (apt_install "$headers"); } && (make_gem "$tree") >"$work/log" 2>&1; then
    # Moved into place at the end, so that it is there wholly or not at all.
    rm -rf "$folder.partial"
    mv "$tree" "$folder.partial" && mv "$folder.partial" "$folder"
  else
    tail -n 20 "$work/log"
    note_missing "$folder" "${tree##*/} does not compile for Ruby $RUBY_SERIES"
  fi
}

# As RubyGems does it: the extension goes to the folder of the gem's Ruby files.
make_gem() {
  cd "$(dirname "$(find "$1/ext" -name extconf.rb)")" &&
    "$RUBY" extconf.rb --enable-system-libraries &&
    make -j"$(nproc)" &&
    make install "sitearchdir=$1/lib" "sitelibdir=$1/lib"
}
