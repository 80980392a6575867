#!/usr/bin/env bash
# The watchdog's second half: watchdog.sh PID, started by watchdog.rb.
#
# Reads numbers from its standard input: a number of seconds arms it, 0 disarms it. When that
# time has passed without another line, PID gets SIGSEGV (Ruby then prints its native and Ruby
# backtraces and aborts), and SIGKILL if that doesn't end it. Ends with its input.
set -euo pipefail

watched=$1
last_resort_seconds=15

# The process that has this number now, told apart from a later one by its start time.
started_at() { sed 's/.*) //' "/proc/$watched/stat" 2>/dev/null | cut -d' ' -f20; }

end_watched() {
  printf '\nno sign of life from process %s: it hangs without releasing the VM lock\n' "$watched" >&2
  kill -SEGV "$watched" 2>/dev/null || true
  sleep "$last_resort_seconds"
  [ "$(started_at)" != "$identity" ] || kill -KILL "$watched" 2>/dev/null || true
}

identity=$(started_at)
seconds=0
while true; do
  limit=()
  [ "$seconds" = 0 ] || limit=(-t "$seconds")
  status=0
  read -r "${limit[@]}" seconds || status=$?
  [ "$status" -ne 0 ] || continue
  # Above 128 is a timeout; anything else is the end of the input.
  if [ "$status" -gt 128 ] && [ "$(started_at)" = "$identity" ]; then end_watched; fi
  exit 0
done
