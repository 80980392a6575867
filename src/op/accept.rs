use std::os::fd::RawFd;
use std::ptr::null_mut;

use io_uring::{opcode, squeue, types};

use super::{Discard, Op, OpMemory};

/// Waits until a listening socket has a connection, or will have none any more, and takes nothing:
/// whoever is interrupted leaves it to others. Result: the events that are there.
#[derive(Clone, Copy, Debug)]
pub struct AwaitConnection {
    /// The listening socket.
    pub fd: RawFd,
}

impl AwaitConnection {
    /// Whether its result may mean that the socket was shut down. A TCP socket says it by
    /// `POLLERR`, where it says so at once.
    #[must_use]
    pub fn may_be_end(result: i32) -> bool {
        let end = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;
        result >= 0 && result & i32::from(end) != 0
    }
}

impl Op for AwaitConnection {
    const NAME: &'static str = "accept";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
        opcode::PollAdd::new(types::Fd(self.fd), events).build()
    }
}

/// Accepts one connection. Result: its descriptor, close-on-exec.
#[derive(Clone, Copy, Debug)]
pub struct Accept {
    /// The listening socket.
    pub fd: RawFd,
    /// `SOCK_NONBLOCK` or 0; `SOCK_CLOEXEC` is added.
    pub flags: i32,
}

impl Op for Accept {
    const NAME: &'static str = "accept";
    const DISCARD: Discard = Discard::CloseFd;

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Accept::new(types::Fd(self.fd), null_mut(), null_mut())
            .flags(self.flags | libc::SOCK_CLOEXEC)
            .build()
    }
}
