use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Closes a descriptor. Result: 0.
#[derive(Clone, Copy, Debug)]
pub struct Close {
    /// What to close.
    pub fd: RawFd,
}

impl Op for Close {
    const NAME: &'static str = "close";
    const SURVIVES_CLOSE: bool = true;

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Close::new(types::Fd(self.fd)).build()
    }
}
