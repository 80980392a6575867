use std::os::fd::RawFd;
use std::ptr::null_mut;

use io_uring::{opcode, squeue, types};

use super::{Discard, Op, OpMemory};

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

/// Accepts connections until it ends: one result per connection. It goes on when the
/// descriptor is closed (the ring holds the socket) and ends when the socket is shut down.
#[derive(Clone, Copy, Debug)]
pub struct AcceptMultishot {
    /// The listening socket.
    pub fd: RawFd,
    /// `SOCK_NONBLOCK` or 0; `SOCK_CLOEXEC` is added.
    pub flags: i32,
}

impl Op for AcceptMultishot {
    const NAME: &'static str = "accept_each";
    const DISCARD: Discard = Discard::CloseFd;
    const SURVIVES_CLOSE: bool = true;

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::AcceptMulti::new(types::Fd(self.fd)).flags(self.flags | libc::SOCK_CLOEXEC).build()
    }
}
