#!/usr/bin/env bash
# spec_batch.sh FOLDER RSPEC... FILES...: runs some spec files and leaves what they print in a file
# of the folder. What fails is printed as well, in one piece, and which libraries could not be had.
set -uo pipefail

log=$(mktemp "$1/XXXXXX")
shift
if SPEC_BATCH=1 "$@" >"$log" 2>&1; then
  grep -o 'not here: .*' "$log" | sort -u
  grep -E '^[0-9]+ examples?, ' "$log"
else
  cat "$log"
  exit 1
fi
