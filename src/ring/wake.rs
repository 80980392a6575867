//! Waking a ring's owner out of its wait, from any thread.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// An eventfd that the owner's ring polls. The only part of a ring that other threads may hold.
#[derive(Clone, Debug)]
pub struct Waker {
    fd: Arc<OwnedFd>,
}

impl Waker {
    /// Makes the eventfd.
    ///
    /// # Errors
    /// EMFILE, ENFILE or ENOMEM.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is fresh and owned by nobody else.
        let fd = Arc::new(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Self { fd })
    }

    /// Makes the owner's present or next wait return. Async-signal-safe.
    pub fn wake(&self) {
        wake_fd(self.fd.as_raw_fd());
    }

    /// Forgets the wakes so far; done by the owner once it was woken.
    pub fn reset(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes are there to be written; the fd is non-blocking.
        unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    /// The eventfd, for the owner's poll op and for unblock functions that can hold no reference.
    #[must_use]
    pub fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// [`Waker::wake`] for a caller that holds only the descriptor's number. Async-signal-safe.
pub fn wake_fd(fd: RawFd) {
    let one = 1u64;
    // SAFETY: eight bytes are read from a live local. A full counter (EAGAIN) wakes as well.
    unsafe { libc::write(fd, (&raw const one).cast(), 8) };
}
