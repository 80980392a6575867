# Packages of other Debian suites than the one that is installed. Sourced after common.sh, not run.
#
# The system's own apt lists are not touched: the suite is listed in a private apt state folder.
# What is fetched is checked against Debian's keyring.
# shellcheck shell=bash

# The mirror this machine already uses for Debian itself (not for security updates).
debian_mirror() {
  local mirror
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(SUITE)' 'Created-By: Packages' |
    awk -F'|' '$1 == "Debian" && $3 !~ /security/ { print $2; exit }')
  [ -n "$mirror" ] || die "no Debian mirror in apt's sources" "apt-get update"
  printf '%s\n' "$mirror"
}

# private_apt deb|deb-src "SUITE..." FOLDER: sets PRIVATE_APT, options by which apt-get and apt-cache
# work on those suites in that folder.
private_apt() {
  local kind=$1 suites=$2 folder=$3 suite mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mirror=$(debian_mirror)
  [ -r "$keyring" ] || apt_install debian-archive-keyring
  mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
  for suite in $suites; do
    echo "$kind [signed-by=$keyring] $mirror $suite main"
  done >"$folder/sources.list"
  PRIVATE_APT=(-q
    -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache"
    -o APT::Sandbox::User=root)
}

read_private_list() { apt-get "${PRIVATE_APT[@]}" update; }

# private_source PACKAGE FOLDER LOG: a package's source, unpacked below the folder. The suites can
# list versions whose files have left the mirror: the newest that is there.
private_source() {
  local package=$1 folder=$2 log=$3 release
  for release in $(apt-cache "${PRIVATE_APT[@]}" showsrc --only-source "$package" |
    awk '$1 == "Version:" { print $2 }' | sort -Vru); do
    (cd "$folder" && apt-get "${PRIVATE_APT[@]}" source --only-source "$package=$release") \
      >"$log" 2>&1 && return 0
    say "$package $release cannot be had from this mirror"
  done
  return 1
}

# unpack_debian_packages SUITE FOLDER PACKAGE...: the files of each package, without installing it,
# in a folder of its name. Says which ones it could not get, and fails then.
unpack_debian_packages() (
  suite=$1 folder=$2 failed=0
  shift 2
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  private_apt deb "$suite" "$work/apt"
  read_private_list >"$work/log" 2>&1 || { tail -n 20 "$work/log"; die "could not read the package list of $suite"; }
  mkdir -p "$folder"
  for package in "$@"; do
    unpack_private_package "$package" "$folder/$package" "$work" && continue
    say "could not get $package from Debian $suite"
    failed=1
  done
  exit "$failed"
)

# unpack_private_package PACKAGE FOLDER WORK. Moved into place at the end, so that it is there wholly
# or not at all.
unpack_private_package() {
  local package=$1 folder=$2 work=$3
  (cd "$work" && apt-get "${PRIVATE_APT[@]}" download "$package") >"$work/log" 2>&1 || return 1
  rm -rf "$folder.partial" "$folder"
  dpkg-deb -x "$work/$package"_*.deb "$folder.partial" && mv "$folder.partial" "$folder"
}
