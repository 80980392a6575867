use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Moves bytes between two descriptors, one of them a pipe. Result: bytes, 0 at EOF.
#[derive(Clone, Copy, Debug)]
pub struct Splice {
    /// Source.
    pub from: RawFd,
    /// Destination.
    pub to: RawFd,
    /// Most bytes to move.
    pub len: u32,
}

impl Op for Splice {
    const NAME: &'static str = "splice";

    fn fd(&self) -> Option<RawFd> {
        Some(self.from)
    }

    fn second_fd(&self) -> Option<RawFd> {
        Some(self.to)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Splice::new(types::Fd(self.from), -1, types::Fd(self.to), -1, self.len)
            .flags(libc::SPLICE_F_MOVE)
            .build()
    }
}

/// Copies bytes from one pipe to another without taking them. Result: bytes, 0 at EOF.
#[derive(Clone, Copy, Debug)]
pub struct Tee {
    /// Source pipe.
    pub from: RawFd,
    /// Destination pipe.
    pub to: RawFd,
    /// Most bytes to copy.
    pub len: u32,
}

impl Op for Tee {
    const NAME: &'static str = "tee";

    fn fd(&self) -> Option<RawFd> {
        Some(self.from)
    }

    fn second_fd(&self) -> Option<RawFd> {
        Some(self.to)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Tee::new(types::Fd(self.from), types::Fd(self.to), self.len).build()
    }
}
