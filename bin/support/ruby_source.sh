# The sources of Ruby, from Debian's source packages. Sourced after common.sh, not run.
# shellcheck shell=bash
# shellcheck source=bin/support/debian.sh
source "$PROJECT_ROOT/bin/support/debian.sh"

# unpack_ruby_source SERIES FOLDER: sets RUBY_TREE, the unpacked sources somewhere in the folder.
unpack_ruby_source() {
  local series=$1 folder=$2 suite package
  case $series in
    3.4) suite=experimental package=ruby3.4 ;;
    3.3) suite=trixie package=ruby3.3 ;;
    *) die "no Debian source package is known for Ruby $series" \
      "set RUBY=/path/to/ruby (3.3 or newer); for its tests, RUBY_SOURCE=/path/to/its/sources" ;;
  esac
  apt_install dpkg-dev
  mkdir -p "$folder/src"
  chmod 755 "$folder" "$folder/src"
  private_apt deb-src "$suite" "$folder/apt"

  say "fetching the source of $package from Debian $suite"
  read_private_list >"$folder/log" 2>&1 || { cat "$folder/log"; die "could not read the package list of $suite"; }
  private_source "$package" "$folder/src" "$folder/log" || true
  RUBY_TREE=$(find "$folder/src" -mindepth 1 -maxdepth 1 -type d | head -n 1)
  [ -n "$RUBY_TREE" ] || { tail -n 20 "$folder/log"; die "could not fetch the source of $package"; }
}

# provide_ruby_tests SERIES: sets RUBY_TESTS, a folder with Ruby's own tests of fibers and what runs them.
provide_ruby_tests() {
  local series=$1
  if [ -n "${RUBY_SOURCE:-}" ]; then
    [ -d "$RUBY_SOURCE/test/fiber" ] || die "RUBY_SOURCE=$RUBY_SOURCE has no test/fiber" "unset RUBY_SOURCE"
    RUBY_TESTS=$RUBY_SOURCE
    return 0
  fi
  RUBY_TESTS="$CACHE_ROOT/ruby-$series-tests"
  mkdir -p "$CACHE_ROOT"
  # One at a time: another checkout may be at it already.
  (
    flock 9
    [ ! -d "$RUBY_TESTS" ] || exit 0
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    unpack_ruby_source "$series" "$work"
    mkdir -p "$work/tests/test"
    cp -r "$RUBY_TREE/test/fiber" "$RUBY_TREE/test/lib" "$work/tests/test"
    cp -r "$RUBY_TREE/tool" "$work/tests"
    # Moved into place at the end, so that it is there wholly or not at all.
    mv "$work/tests" "$RUBY_TESTS"
  ) 9>"$RUBY_TESTS.lock"
}
