use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Shuts a socket down. Result: 0.
#[derive(Clone, Copy, Debug)]
pub struct Shutdown {
    /// The socket.
    pub fd: RawFd,
    /// `SHUT_*`.
    pub how: i32,
}

impl Op for Shutdown {
    const NAME: &'static str = "shutdown";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Shutdown::new(types::Fd(self.fd), self.how).build()
    }
}
