#!/usr/bin/env bash
# The watchdog's second half: watchdog.sh PID, started by watchdog.rb.
#
# Reads lines from its standard input, each a number of seconds. When that time has passed
# without another line, PID gets SIGSEGV (Ruby then prints its native and Ruby backtraces and
# aborts), and SIGKILL if that doesn't end it. Ends with its input.
set -euo pipefail

watched=$1
last_resort_seconds=15

# The process that has this number now, told apart from a later one by its start time.
started_at() { sed 's/.*) //' "/proc/$watched/stat" 2>/dev/null | cut -d' ' -f20; }

end_watched() {
  printf '\nno sign of life from process %s: it hangs without releasing the VM lock\n' "$watched" >&2
  kill -SEGV "$watched" 2>/dev/null || true
  for ((waited = 0; waited < last_resort_seconds; waited++)); do
    sleep 1
    [ "$(started_at)" = "$identity" ] || return 0
  done
  kill -KILL "$watched" 2>/dev/null || true
}

trap '' INT
identity=$(started_at)
read -r seconds
status=0
while [ "$status" -eq 0 ]; do
  read -r -t "$seconds" seconds || status=$?
done
# Above 128 is a timeout; anything else is the end of the input.
if [ "$status" -gt 128 ] && [ "$(started_at)" = "$identity" ]; then end_watched; fi
