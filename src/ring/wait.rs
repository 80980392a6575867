//! The blocking wait, detached from the ring so that it can run without the caller's locks.

use std::os::fd::RawFd;
use std::sync::Arc;

use super::ENTER_GETEVENTS;
use super::sidecar::{Sidecar, Signal};

const ENTER_EXT_ARG: u32 = 8;

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct GetEventsArg {
    sigmask: u64,
    sigmask_size: u32,
    min_wait_usec: u32,
    timespec: u64,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one completion is there.
    Ready,
    /// The time ran out first.
    TimedOut,
    /// A signal ended the wait.
    Interrupted,
    /// The kernel refused; the errno.
    Failed(i32),
}

/// One `io_uring_enter` that submits what was queued and waits for a completion.
///
/// With a sidecar there is nothing to submit, and the wait is for its signal.
///
/// To be run on the thread that owns the ring, before the ring is touched again.
#[derive(Clone, Debug)]
pub struct Wait {
    pub(super) fd: RawFd,
    pub(super) to_submit: u32,
    pub(super) flags: u32,
    pub(super) sidecar: Option<Arc<Signal>>,
}

/// `struct timespec` as the kernel reads it: seconds and nanoseconds.
pub(super) fn timespec(ns: u64) -> [i64; 2] {
    let seconds = i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX);
    // Always below 10^9.
    let rest = i64::try_from(ns % 1_000_000_000).unwrap_or(0);
    [seconds, rest]
}

impl Wait {
    /// The same wait, for the signal of a sidecar.
    pub(crate) fn beside(self, sidecar: &Sidecar) -> Self {
        Self { sidecar: Some(sidecar.signal()), ..self }
    }

    /// Waits for a completion, `timeout_ns` nanoseconds at most (`None`: without limit).
    #[must_use]
    pub fn run(&self, timeout_ns: Option<u64>) -> Outcome {
        if let Some(signal) = &self.sidecar {
            return signal.wait(timeout_ns);
        }
        let timespec = timeout_ns.map(timespec);
        let arg = GetEventsArg {
            sigmask: 0,
            sigmask_size: 8,
            min_wait_usec: 0,
            timespec: timespec.as_ref().map_or(0, |spec| std::ptr::from_ref(spec) as u64),
        };
        // SAFETY: `arg` and the timespec it points to live across the call; the ring's fd is open
        // as long as its owner exists, which is the contract of `Wait`.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.fd,
                self.to_submit,
                1u32,
                self.flags | ENTER_GETEVENTS | ENTER_EXT_ARG,
                &raw const arg,
                size_of::<GetEventsArg>(),
            )
        };
        if result >= 0 {
            return Outcome::Ready;
        }
        match crate::sys::errno() {
            libc::ETIME => Outcome::TimedOut,
            libc::EINTR => Outcome::Interrupted,
            // The CQ is full: there is something to drain.
            libc::EBUSY => Outcome::Ready,
            errno => Outcome::Failed(errno),
        }
    }
}
