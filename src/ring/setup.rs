//! Opening a ring: the flag ladder, then the size ladder.

use std::time::Duration;

use io_uring::IoUring;

use crate::error::SetupError;
use crate::sys;

/// The smallest ring that is worth having, in SQEs.
const MIN_ENTRIES: u32 = 8;
/// What an SQE takes, its place in the queue, and the two CQEs that go with it.
const BYTES_OF_ENTRY: u64 = 64 + 4 + 2 * 16;
/// Into how many rings the memory that somebody may lock is to be divided at least.
const RINGS: u64 = 64;
/// How long to wait for memory that the kernel is about to release, before another try.
const RELEASE: [Duration; 6] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(4),
    Duration::from_millis(8),
    Duration::from_millis(16),
    Duration::from_millis(32),
];

/// How a ring is to be opened.
#[derive(Clone, Debug)]
pub struct RingConfig {
    /// Size of the submission queue in SQEs; the kernel rounds it up to a power of two.
    pub entries: u32,
    /// With a value: a kernel thread takes SQEs by itself and sleeps after this long without any.
    pub sqpoll_idle: Option<Duration>,
    /// Whether all use of the ring comes from one native thread (false where threads migrate).
    pub single_issuer: bool,
    /// Whether an op that finds the submission queue full is refused; otherwise the queue is
    /// submitted first.
    pub refuse_when_full: bool,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self { entries: 4096, sqpoll_idle: None, single_issuer: true, refuse_when_full: false }
    }
}

/// One rung: which optional set-up flags are asked for.
#[derive(Clone, Copy)]
struct Rung {
    single_issuer: bool,
    defer_taskrun: bool,
    coop_taskrun: bool,
    submit_all: bool,
}

/// From the best to the plainest. DEFER_TASKRUN needs SINGLE_ISSUER (6.1); COOP_TASKRUN is what
/// comes next to it for rings that several native threads use in turn.
const LADDER: [Rung; 4] = [
    Rung { single_issuer: true, defer_taskrun: true, coop_taskrun: false, submit_all: true },
    Rung { single_issuer: true, defer_taskrun: false, coop_taskrun: true, submit_all: true },
    Rung { single_issuer: false, defer_taskrun: false, coop_taskrun: true, submit_all: true },
    Rung { single_issuer: false, defer_taskrun: false, coop_taskrun: false, submit_all: false },
];

/// Opens a ring by the first rung that the kernel takes, halving its size on ENOMEM. The memory of
/// rings that were closed is released some time later: the smallest one waits for it.
pub(super) fn open(config: &RingConfig) -> Result<IoUring, SetupError> {
    let mut entries = affordable(config.entries.max(1), sys::is_root(), sys::memlock_limit());
    let mut pauses = RELEASE.iter();
    loop {
        match open_sized(config, entries) {
            Err(libc::ENOMEM) if entries > MIN_ENTRIES => entries /= 2,
            Err(libc::ENOMEM) => match pauses.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => return Err(SetupError::diagnose(libc::ENOMEM)),
            },
            Err(errno) => return Err(SetupError::diagnose(errno)),
            Ok(ring) => return Ok(ring),
        }
    }
}

/// How many SQEs a ring may have so that there is memory for many of them. A full queue is submitted:
/// a smaller one only costs more calls.
fn affordable(entries: u32, is_root: bool, limit: u64) -> u32 {
    if is_root || limit == libc::RLIM_INFINITY {
        return entries;
    }
    let share = u32::try_from(limit / RINGS / BYTES_OF_ENTRY).unwrap_or(u32::MAX);
    // The kernel would round it up.
    entries.min(1 << share.max(MIN_ENTRIES).ilog2())
}

fn open_sized(config: &RingConfig, entries: u32) -> Result<IoUring, i32> {
    let mut errno = libc::EINVAL;
    for rung in &LADDER {
        if rung.single_issuer && !config.single_issuer {
            continue;
        }
        match build(config, *rung, entries) {
            Ok(ring) => return Ok(ring),
            Err(error) => errno = error.raw_os_error().unwrap_or(libc::EINVAL),
        }
        // Only a flag that the kernel doesn't know is worth another rung.
        if errno != libc::EINVAL {
            break;
        }
    }
    Err(errno)
}

fn build(config: &RingConfig, rung: Rung, entries: u32) -> std::io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.dontfork().setup_clamp();
    if rung.single_issuer {
        builder.setup_single_issuer();
    }
    if rung.submit_all {
        builder.setup_submit_all();
    }
    if let Some(idle) = config.sqpoll_idle {
        // With SQPOLL the task-work flags are refused (EINVAL).
        builder.setup_sqpoll(u32::try_from(idle.as_millis()).unwrap_or(u32::MAX));
    } else if rung.defer_taskrun {
        builder.setup_defer_taskrun().setup_taskrun_flag();
    } else if rung.coop_taskrun {
        builder.setup_coop_taskrun().setup_taskrun_flag();
    }
    builder.build(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rung_opens_on_a_current_kernel() {
        let config = RingConfig { entries: 8, ..RingConfig::default() };
        for rung in LADDER {
            build(&config, rung, 8).expect("rung");
        }
    }

    #[test]
    fn somebody_who_may_lock_little_memory_gets_small_rings() {
        assert_eq!(affordable(4096, false, 8 << 20), 1024);
        assert_eq!(affordable(256, false, 8 << 20), 256);
        assert_eq!(affordable(4096, false, 64 << 10), MIN_ENTRIES);
        assert_eq!(affordable(4096, false, 0), MIN_ENTRIES);
        assert_eq!(affordable(4096, false, libc::RLIM_INFINITY), 4096);
        assert_eq!(affordable(4096, true, 0), 4096);
    }

    #[test]
    fn threads_that_migrate_get_no_single_issuer() {
        let config = RingConfig { entries: 8, single_issuer: false, ..RingConfig::default() };
        let ring = open(&config).expect("ring");
        assert!(!ring.params().is_setup_single_issuer());
    }

    #[test]
    fn sqpoll_opens() {
        let idle = Some(Duration::from_millis(10));
        let config = RingConfig { entries: 8, sqpoll_idle: idle, ..RingConfig::default() };
        assert!(open(&config).expect("ring").params().is_setup_sqpoll());
    }

    #[test]
    fn an_absurd_size_is_clamped() {
        let config = RingConfig { entries: 1 << 20, ..RingConfig::default() };
        assert!(open(&config).expect("ring").params().sq_entries() <= 32768);
    }
}
