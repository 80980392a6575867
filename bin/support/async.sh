# Async, for the specs that run its programs on our selector. Sourced after ecosystem.sh, not run.
#
# Only Debian's unstable suite has an Async that is a Fiber::Scheduler. Its packages are Ruby but for
# io-event, whose C part is for another Ruby; io-event does without that.
# shellcheck shell=bash

ASYNC_PACKAGES=(ruby-async ruby-io-event ruby-console ruby-fiber-annotation ruby-fiber-local
  ruby-fiber-storage ruby-metrics ruby-traces
  ruby-async-http ruby-async-pool ruby-io-endpoint ruby-io-stream ruby-protocol-http
  ruby-protocol-http1 ruby-protocol-http2 ruby-protocol-hpack ruby-protocol-url)

# A machine without it skips those specs, and tries again the next day.
provide_async() {
  have_or_note "$CACHED_ASYNC" && return 0
  say "fetching Async into $CACHE_ROOT"
  mkdir -p "$CACHE_ROOT"
  unpack_async && return 0
  say "the specs that use Async are skipped: it could not be fetched from Debian"
  touch "$CACHED_ASYNC.missing"
}

# All of it or nothing. One at a time: another checkout's bin/setup may be at it already.
unpack_async() (
  # shellcheck source=bin/support/debian.sh
  source "$PROJECT_ROOT/bin/support/debian.sh"
  flock 9
  [ ! -d "$CACHED_ASYNC" ] || exit 0
  unpack_debian_packages sid "$CACHED_ASYNC.partial" "${ASYNC_PACKAGES[@]}" &&
    mv "$CACHED_ASYNC.partial" "$CACHED_ASYNC"
) 9>"$CACHE_ROOT/debian.lock"
