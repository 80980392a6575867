#!/usr/bin/env bash
# Builds Ruby from Debian's source package into the cache folder: build_ruby.sh 3.4|3.3 PREFIX
#
set -euo pipefail
# shellcheck source=bin/support/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=bin/support/ruby.sh
source "$PROJECT_ROOT/bin/support/ruby.sh"
# shellcheck source=bin/support/ruby_source.sh
source "$PROJECT_ROOT/bin/support/ruby_source.sh"

version=${1:?usage: build_ruby.sh 3.4|3.3 PREFIX}
prefix=${2:?usage: build_ruby.sh 3.4|3.3 PREFIX}

apt_install "${RUBY_BUILD_PACKAGES[@]}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unpack_ruby_source "$version" "$work"
tree=$RUBY_TREE

yjit=()
command -v rustc >/dev/null 2>&1 && yjit=(--enable-yjit)
say "building $(basename "$tree") with $(nproc) jobs (about $((10 / $(nproc))) minutes)"
cd "$tree"
run_logged() {
  "$@" >"$work/log" 2>&1 || { tail -n 60 "$work/log"; die "building Ruby failed at: $*"; }
}
[ -x configure ] || run_logged autoreconf -fi
run_logged ./configure --prefix="$prefix.partial" --disable-install-doc --enable-shared \
  --enable-load-relative "${yjit[@]}" CFLAGS="-O3 -g0"
run_logged make -j"$(nproc)"
rm -rf "$prefix.partial"
run_logged make install
# Moved into place at the end, so that a build that was cut off is never taken for a Ruby.
rm -rf "$prefix"
mv "$prefix.partial" "$prefix"
say "built $("$prefix/bin/ruby" --version)"
