//! Descriptors that a call works on for more than one op. Between two of them another fiber may
//! close one, and its number is the next file's.

use std::os::fd::RawFd;

use super::Machine;
use crate::errors::{Outcome, Raise};

/// A descriptor as it was when the call began.
#[derive(Clone, Copy)]
pub(super) struct Known {
    fd: RawFd,
    closes: u32,
}

impl Machine {
    /// Takes note of a descriptor, before the call's first op on it.
    pub(super) fn know(&self, fd: RawFd) -> Known {
        // From now on, also where it has no op yet.
        Known { fd, closes: self.state().borrow_mut().driver.ops_mut().watch(fd) }
    }

    /// EBADF where it was closed since: the next op could hit another file.
    pub(super) fn check_same(&self, known: Known) -> Outcome<()> {
        if self.closes(known.fd) == known.closes { Ok(()) } else { Err(Raise::Errno(libc::EBADF)) }
    }

    /// The descriptor itself; EBADF where it was closed since.
    pub(super) fn descriptor_of(&self, known: Known) -> Outcome<RawFd> {
        self.check_same(known).map(|()| known.fd)
    }

    fn closes(&self, fd: RawFd) -> u32 {
        self.state().borrow().driver.ops().closes(fd)
    }
}
