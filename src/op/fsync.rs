use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Brings what was written to a file onto its disk. Result: 0.
#[derive(Clone, Copy, Debug)]
pub struct Fsync {
    /// The file.
    pub fd: RawFd,
}

impl Op for Fsync {
    const NAME: &'static str = "fsync";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Fsync::new(types::Fd(self.fd)).build()
    }
}
