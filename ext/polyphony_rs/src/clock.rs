//! The clock that deadlines are in. The core never reads one.

/// Monotonic nanoseconds.
pub(crate) fn now() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid out pointer.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    // Both are positive on this clock.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Monotonic nanoseconds as of the last tick of the kernel (some milliseconds old), for next to
/// nothing.
pub(crate) fn coarse() -> u64 {
    read(libc::CLOCK_MONOTONIC_COARSE)
}

/// The deadline `seconds` from now, or a little later to fall together with others. Anything beyond
/// a few hundred years is as good as for ever.
pub(crate) fn after(seconds: f64) -> u64 {
    polyphony_core::timer::deadline_after(now(), nanoseconds(seconds))
}

/// Seconds as nanoseconds: negative and NaN are 0, too many saturate.
pub(crate) fn nanoseconds(seconds: f64) -> u64 {
    // The cast saturates.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let nanoseconds = (seconds * 1e9) as u64;
    nanoseconds
}
