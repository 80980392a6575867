# Finds the Ruby to work with. Sourced after common.sh, not run.
# shellcheck shell=bash disable=SC2034 # what is unused here is for the scripts

OLDEST_RUBY=3.3
PREFERRED_RUBY=3.4
KNOWN_RUBIES=(4.0 3.4 3.3)
# What Debian's sources of Ruby are fetched and built with.
RUBY_BUILD_PACKAGES=(dpkg-dev build-essential autoconf bison
  libyaml-dev libffi-dev zlib1g-dev libssl-dev libgmp-dev libreadline-dev)

# version_at_least HAVE WANTED
version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# What the specs and examples load; Ruby leaves out those that it finds no C library for.
RUBY_LIBRARIES=(socket openssl zlib psych io/console)

# inspect_ruby COMMAND: sets RUBY_PATH, RUBY_SERIES (as 3.4) and RUBY_TITLE; fails if it doesn't run.
inspect_ruby() {
  local facts
  # Which would come back here.
  [ ! "$(command -v "$1")" -ef "$PROJECT_ROOT/bin/ruby" ] || return 1
  facts=$(env -u RUBYOPT -u RUBYLIB "$1" --disable=gems -rrbconfig -e '
    abort unless RUBY_ENGINE == "ruby"
    puts RbConfig.ruby, RUBY_VERSION[/\A\d+\.\d+/], RUBY_DESCRIPTION' 2>/dev/null) || return 1
  { read -r RUBY_PATH; read -r RUBY_SERIES; read -r RUBY_TITLE; } <<<"$facts"
}

# ruby_fits COMMAND [SERIES]: true for a Ruby that is new enough, and of that series if one is named.
ruby_fits() {
  inspect_ruby "$1" || return 1
  version_at_least "$RUBY_SERIES" "$OLDEST_RUBY" || return 1
  [ -z "${2:-}" ] || [ "$RUBY_SERIES" = "$2" ]
}

# ruby_lacks COMMAND: what a Ruby is without, nothing if it is whole. Headers that the distribution
# has in a package of their own don't count: they can be had.
ruby_lacks() {
  env -u RUBYOPT -u RUBYLIB "$1" --disable=gems -rrbconfig -e '
    lacks = ARGV.reject { |name| require name rescue LoadError && false }
    headers = RbConfig::CONFIG.values_at("rubyhdrdir", "rubyarchhdrdir").zip(%w[ruby.h ruby/config.h])
    there = headers.all? { |folder, file| File.exist?(File.join(folder, file)) }
    lacks << "its headers" unless there || RbConfig.ruby.start_with?("/usr/bin/")
    puts lacks.join(", ")' "${RUBY_LIBRARIES[@]}" 2>/dev/null || echo "a way to run"
}

# usable_ruby COMMAND [SERIES]: fits, and is whole.
usable_ruby() {
  local lacks
  ruby_fits "$@" || return 1
  lacks=$(ruby_lacks "$1")
  [ -z "$lacks" ] || { say "passing over $1 ($RUBY_TITLE): it comes without $lacks" >&2 && return 1; }
}

# A Ruby that was named by hand is taken or refused, never replaced by another one.
accept_named_ruby() {
  local wanted=${1:-}
  command -v "$RUBY" >/dev/null 2>&1 || die "RUBY=$RUBY is not an executable file" "unset RUBY"
  inspect_ruby "$RUBY" || die "RUBY=$RUBY does not run as a Ruby (MRI)" "unset RUBY"
  version_at_least "$RUBY_SERIES" "$OLDEST_RUBY" ||
    die "RUBY=$RUBY is Ruby $RUBY_SERIES; $OLDEST_RUBY or newer is needed" "unset RUBY"
  [ -z "$wanted" ] || [ "$RUBY_SERIES" = "$wanted" ] ||
    die "RUBY=$RUBY is Ruby $RUBY_SERIES, but $wanted was asked for" "unset RUBY"
  local lacks
  lacks=$(ruby_lacks "$RUBY")
  [ -z "$lacks" ] || die "RUBY=$RUBY comes without $lacks" "unset RUBY"
}

# has_source_package SERIES: Debian has the sources that build_ruby.sh builds.
has_source_package() { [[ $1 == 3.4 || $1 == 3.3 ]]; }

cached_ruby() { printf '%s/ruby-%s/bin/ruby' "$CACHE_ROOT" "$1"; }

# find_ruby [SERIES]: $RUBY, then our own builds, then PATH. Sets the variables of inspect_ruby.
find_ruby() {
  local wanted=${1:-} candidate
  if [ -n "${RUBY:-}" ]; then
    accept_named_ruby "$wanted"
    return 0
  fi
  for candidate in "$(cached_ruby "${wanted:-$PREFERRED_RUBY}")" "$(cached_ruby "${wanted:-$OLDEST_RUBY}")"; do
    usable_ruby "$candidate" "$wanted" && return 0
  done
  while IFS= read -r candidate; do
    usable_ruby "$candidate" "$wanted" && return 0
  done < <(type -ap ruby "${KNOWN_RUBIES[@]/#/ruby}" || true)
  return 1
}
