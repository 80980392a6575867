use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Reads into the caller's memory. Result: bytes, 0 at EOF.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Where to read.
    pub fd: RawFd,
    /// Where the bytes go.
    pub ptr: *mut u8,
    /// Most bytes to read.
    pub len: u32,
    /// Position in a file; `u64::MAX` is the descriptor's own.
    pub offset: u64,
}

impl Op for Read {
    const NAME: &'static str = "read";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Read::new(types::Fd(self.fd), self.ptr, self.len).offset(self.offset).build()
    }
}
