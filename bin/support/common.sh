# Shared by the scripts in bin/: messages, paths, packages. Sourced, not run.
# shellcheck shell=bash disable=SC2034 # what is unused here is for the scripts

PROJECT_ROOT=$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Services and containers may have none.
[ -n "${HOME:-}" ] || HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
export HOME
CACHE_ROOT=${POLYPHONY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/polyphony-rs}

# What brings a Rust that is new enough, wherever one is.
RUSTUP='curl --proto =https --tlsv1.2 -sSf https://sh.rustup.rs | sh'

say() { printf '==> %s\n' "$*"; }

# die MESSAGE [COMMAND THAT MENDS IT]
die() {
  printf 'error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  to mend it: %s\n' "$2" >&2
  exit 1
}

# lacks_packages PACKAGE...: sets missing_packages, and fails if there are none.
lacks_packages() {
  local package
  missing_packages=()
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing_packages+=("$package")
  done
  [ ${#missing_packages[@]} -gt 0 ]
}

# apt_install PACKAGE...: installs those that are missing, or names the command that would.
apt_install() {
  local missing_packages
  lacks_packages "$@" || return 0
  if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" -ne 0 ]; then
    die "missing packages: ${missing_packages[*]}" "sudo apt-get install ${missing_packages[*]}"
  fi
  say "installing ${missing_packages[*]}"
  local log
  log=$(mktemp)
  if ! apt_get_install "${missing_packages[@]}" >"$log" 2>&1; then
    apt-get update -q >>"$log" 2>&1 || true
    apt_get_install "${missing_packages[@]}" >"$log" 2>&1 || {
      tail -n 30 "$log"
      rm -f "$log"
      die "could not install: ${missing_packages[*]}" "apt-get update && apt-get install ${missing_packages[*]}"
    }
  fi
  rm -f "$log"
}

# Some packages are servers: they are wanted as programs, so apt is told not to start them.
apt_get_install() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
)
