//! Descriptors that a call works on for more than one op. Between two of them another fiber may
//! close one, and its number is the next file's.

use std::os::fd::RawFd;

use super::Machine;
use crate::errors::{Outcome, Raise};

/// A descriptor as it was when the call began.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    fd: RawFd,
    closes: u32,
}

impl Machine {
    /// Takes note of a descriptor: from now on its closes count.
    pub(crate) fn know(&self, fd: RawFd) -> Known {
        let closes = self.state().borrow_mut().driver.ops_mut().watch(fd);
        Known { fd, closes }
    }

    /// The descriptor's number, for ops that begin before the fiber parks. EBADF where it was closed
    /// since: the number may be another file's.
    pub(crate) fn descriptor_of(&self, known: Known) -> Outcome<RawFd> {
        let closes = self.state().borrow().driver.ops().closes(known.fd);
        if closes == known.closes { Ok(known.fd) } else { Err(Raise::Errno(libc::EBADF)) }
    }
}
