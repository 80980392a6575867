# Root file systems made for the purpose, for bin/fresh. Sourced after common.sh, not run.
#
# What a machine needs to reach the outside (mirror, apt and cargo settings, certificates, name
# servers) is taken over from this one when it runs. The Rust toolchain is this machine's, mounted
# read-only.
# shellcheck shell=bash
# shellcheck source=bin/support/debian.sh
source "$PROJECT_ROOT/bin/support/debian.sh"

FRESH_ROOTS="$CACHE_ROOT/fresh"
# What a person has on a new machine, before the README's first line.
PERSONS_PACKAGES=ca-certificates,git,curl
# Where the toolchain is seen from inside.
RUST_INSIDE=/opt/rust

# provide_base_root SUITE: sets BASE_ROOT, a minimal Debian of that suite; made anew after a week.
provide_base_root() {
  local suite=$1 mirror
  BASE_ROOT="$FRESH_ROOTS/base-$suite"
  [ -z "$(find "$BASE_ROOT" -maxdepth 0 -mtime -7 2>/dev/null)" ] || return 0
  apt_install debootstrap
  mirror=$(debian_mirror)
  say "making a minimal Debian $suite"
  rm -rf "$BASE_ROOT" "$BASE_ROOT.partial"
  mkdir -p "$FRESH_ROOTS"
  debootstrap --variant=minbase --include="$PERSONS_PACKAGES" "$suite" "$BASE_ROOT.partial" "$mirror" \
    >"$FRESH_ROOTS/debootstrap.log" 2>&1 ||
    { tail -n 20 "$FRESH_ROOTS/debootstrap.log"; die "debootstrap could not make $suite"; }
  echo "deb $mirror $suite main" >"$BASE_ROOT.partial/etc/apt/sources.list"
  touch "$BASE_ROOT.partial"
  mv "$BASE_ROOT.partial" "$BASE_ROOT"
}

# make_root SUITE NAME: sets ROOT, a copy of the base that may be spoilt, with a clean clone in it.
make_root() {
  local suite=$1 name=$2
  provide_base_root "$suite"
  ROOT="$FRESH_ROOTS/$suite-$name"
  drop_root
  cp -a "$BASE_ROOT" "$ROOT"
  take_over_settings
  mkdir -p "$ROOT$RUST_INSIDE"
  git clone -q --no-hardlinks "$PROJECT_ROOT" "$ROOT/src/polyphony-rs"
}

drop_root() { rm -rf --one-file-system "$ROOT"; }

# How this machine reaches the outside.
take_over_settings() {
  local file
  cp -L /etc/resolv.conf /etc/hosts "$ROOT/etc/" 2>/dev/null || true
  apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Retries|[a-z]+::)' | grep -v '^Acquire::cdrom' >"$ROOT/etc/apt/apt.conf.d/99outside"
  for file in /etc/apt/auth.conf /etc/apt/auth.conf.d; do
    [ ! -e "$file" ] || cp -a "$file" "$ROOT${file%/*}/"
  done
  if compgen -G '/usr/local/share/ca-certificates/*' >/dev/null; then
    cp -a /usr/local/share/ca-certificates/. "$ROOT/usr/local/share/ca-certificates/"
    chroot "$ROOT" update-ca-certificates >/dev/null 2>&1
  fi
  for file in config.toml config; do
    if [ -f "${CARGO_HOME:-$HOME/.cargo}/$file" ]; then
      mkdir -p "$ROOT/etc/cargo"
      cp -L "${CARGO_HOME:-$HOME/.cargo}/$file" "$ROOT/etc/cargo/"
    fi
  done
}

# The variables that go in: none but those that say how the outside is reached.
settings_environment() {
  env | grep -iE '^(https?_proxy|no_proxy|all_proxy|SSL_CERT_FILE|SSL_CERT_DIR|CARGO_(HTTP|NET|REGISTR|SOURCE)[A-Z_]*)=' || true
}

# inside USER HOME PATH COMMAND...: runs it in ROOT, in namespaces of its own that end with it.
inside() {
  local user=$1 home=$2 path=$3 settings
  shift 3
  mapfile -t settings < <(settings_environment)
  # shellcheck disable=SC2016
  unshare --mount --pid --fork --kill-child bash -euc '
    root=$1 rust=$2 user=$3 sysroot=$4
    shift 4
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mount --bind "$sysroot" "$root$rust"
    mount -o remount,bind,ro "$root$rust"
    exec chroot --userspec="$user:$user" "$root" "$@"
  ' inside "$ROOT" "$RUST_INSIDE" "$user" "$(rustc --print sysroot)" \
    /usr/bin/env -i HOME="$home" USER="$user" PATH="$path" TERM=dumb "${settings[@]}" "$@" </dev/null
}

# as_root COMMAND...
as_root() { inside root /root "$ROOTS_PATH" "$@"; }

# The packages that are installed in ROOT, one a line.
installed_packages() { dpkg-query --root="$ROOT" -W -f='${Package}\n' 2>/dev/null | sort -u; }
