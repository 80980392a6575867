# Packages of other Debian suites than the one that is installed. Sourced after common.sh, not run.
#
# The system's own apt lists are not touched: the suite is listed in a private apt state folder.
# What is fetched is checked against Debian's keyring.
# shellcheck shell=bash

# private_apt deb|deb-src SUITE FOLDER: sets PRIVATE_APT, options by which apt-get and apt-cache
# work on that suite in that folder.
private_apt() {
  local kind=$1 suite=$2 folder=$3 mirror keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  # The mirror this machine already uses for Debian itself (not for security updates).
  # shellcheck disable=SC2016
  mirror=$(apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(SUITE)' 'Created-By: Packages' |
    awk -F'|' '$1 == "Debian" && $3 !~ /security/ { print $2; exit }')
  [ -n "$mirror" ] || die "no Debian mirror in apt's sources" "apt-get update"
  [ -r "$keyring" ] || apt_install debian-archive-keyring
  mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
  echo "$kind [signed-by=$keyring] $mirror $suite main" >"$folder/sources.list"
  PRIVATE_APT=(-q
    -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder/cache"
    -o APT::Sandbox::User=root)
}

read_private_list() { apt-get "${PRIVATE_APT[@]}" update; }

# unpack_debian_package SUITE PACKAGE FOLDER: the files of a package, without installing it.
unpack_debian_package() (
  local suite=$1 package=$2 folder=$3 work
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  private_apt deb "$suite" "$work/apt"
  cd "$work" || exit
  if ! { read_private_list && apt-get "${PRIVATE_APT[@]}" download "$package"; } >"$work/log" 2>&1; then
    tail -n 20 "$work/log"
    die "could not fetch $package from Debian $suite"
  fi
  # Moved into place at the end, so that it is there wholly or not at all.
  rm -rf "$folder.partial" "$folder"
  mkdir -p "${folder%/*}"
  dpkg-deb -x "$package"_*.deb "$folder.partial"
  mv "$folder.partial" "$folder"
)
