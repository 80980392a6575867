use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Writes the caller's memory, which is in several places. Result: bytes, possibly fewer than
/// there are.
#[derive(Clone, Debug)]
pub struct WriteV {
    /// Where to write.
    pub fd: RawFd,
    /// Where the bytes are; at most [`Pieces::MOST`](super::Pieces::MOST).
    pub vectors: Box<[libc::iovec]>,
    /// Position in a file; `u64::MAX` is the descriptor's own.
    pub offset: u64,
}

impl Op for WriteV {
    const NAME: &'static str = "writev";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, memory: &mut OpMemory) -> squeue::Entry {
        // A count that doesn't fit is refused by the kernel like any other beyond its limit.
        let count = u32::try_from(self.vectors.len()).unwrap_or(u32::MAX);
        let entry = opcode::Writev::new(types::Fd(self.fd), self.vectors.as_ptr(), count)
            .offset(self.offset)
            .build();
        *memory = OpMemory::Vectors(self.vectors);
        entry
    }
}
