//! The pipes that transfers move bytes through, and how much they may hold in all.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::calls;
use crate::{net, sys};

/// Capacity of a fresh pipe, in bytes.
pub const SMALL_PIPE: usize = 64 * 1024;
/// Capacity asked for once a transfer has filled its pipe: 1 MiB moves two to three times as
/// fast as 64 KiB.
pub const LARGE_PIPE: usize = 1024 * 1024;

/// Most bytes that all pipes of the process may have beyond [`SMALL_PIPE`] each. A destination that
/// is slow leaves its pipe full: with 500 of them this keeps the kernel's memory below 64 MiB.
const BUDGET: usize = 24 * 1024 * 1024;

static GRANTED: AtomicUsize = AtomicUsize::new(0);

/// A pipe that nobody else knows, with `O_NONBLOCK`. It is closed when it goes.
#[derive(Debug)]
pub struct Pipe {
    reader: RawFd,
    writer: RawFd,
    /// Its part of the budget.
    granted: usize,
}

impl Pipe {
    /// One of [`SMALL_PIPE`] bytes.
    ///
    /// # Errors
    /// EMFILE, ENFILE.
    pub fn new() -> Result<Self, i32> {
        let [reader, writer] = net::pipe(libc::O_NONBLOCK)?;
        Ok(Self { reader, writer, granted: 0 })
    }

    /// Where bytes come out.
    #[must_use]
    pub fn reader(&self) -> RawFd {
        self.reader
    }

    /// Where bytes go in.
    #[must_use]
    pub fn writer(&self) -> RawFd {
        self.writer
    }

    /// Asks for `bytes` of capacity, at most [`LARGE_PIPE`]: what it has now. The other pipes' and
    /// the per-user limit may refuse quietly.
    pub fn grow(&mut self, bytes: usize) -> usize {
        let more = bytes.min(LARGE_PIPE).saturating_sub(SMALL_PIPE + self.granted);
        if more > 0 && grant(more) {
            self.granted += more;
            return calls::set_pipe_size(self.writer, SMALL_PIPE + self.granted);
        }
        SMALL_PIPE + self.granted
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        GRANTED.fetch_sub(self.granted, Ordering::Relaxed);
        for fd in [self.reader, self.writer] {
            // Nobody else knows these descriptors.
            let _ = sys::close(fd);
        }
    }
}

fn grant(bytes: usize) -> bool {
    let within = |granted: usize| Some(granted + bytes).filter(|total| *total <= BUDGET);
    GRANTED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(pipe: &Pipe) -> usize {
        // SAFETY: no pointers.
        usize::try_from(unsafe { libc::fcntl(pipe.writer(), libc::F_GETPIPE_SZ) }).expect("size")
    }

    #[test]
    fn all_pipes_together_stay_within_the_budget() {
        let mut pipes: Vec<_> = (0..100).map(|_| Pipe::new().expect("pipe")).collect();
        for pipe in &mut pipes {
            let size = pipe.grow(LARGE_PIPE);
            assert_eq!(size, capacity(pipe));
        }
        let total: usize = pipes.iter().map(capacity).sum();
        assert!(total <= 100 * SMALL_PIPE + BUDGET, "{total}");
        let large = pipes.iter().filter(|pipe| capacity(pipe) == LARGE_PIPE).count();
        assert!(large >= 20, "{large}");
        drop(pipes);
        assert_eq!(Pipe::new().expect("pipe").grow(LARGE_PIPE), LARGE_PIPE, "given back");
    }

    #[test]
    fn it_grows_as_far_as_it_is_asked_for() {
        let mut pipe = Pipe::new().expect("pipe");
        assert_eq!(pipe.grow(1), SMALL_PIPE);
        assert_eq!(pipe.grow(2 * SMALL_PIPE), 2 * SMALL_PIPE);
        assert_eq!(pipe.grow(usize::MAX), LARGE_PIPE);
    }
}
