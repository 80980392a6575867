#!/usr/bin/env bash
# cargo zigbuild, fetched into the cache folder: zigbuild.sh ARGUMENTS...
#
# Zig links for any glibc, and for other machines than this one. Both are Python packages of their
# makers.
set -euo pipefail
# shellcheck source=bin/support/env.sh
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

PACKAGES=(ziglang==0.17.1 cargo-zigbuild==0.24.1)
tools="$CACHE_ROOT/zig"
if [ ! -x "$tools/bin/cargo-zigbuild" ]; then
  python3 -c 'import venv, ensurepip' 2>/dev/null || apt_install python3-venv
  say "fetching zig and cargo-zigbuild into $tools"
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" install -q "${PACKAGES[@]}" || die "zig could not be fetched" "pip install ${PACKAGES[*]}"
fi
use_cargo || die "no cargo was found that can build this" "bin/setup"
export PATH="$tools/bin:$PATH"
exec cargo zigbuild "$@"
