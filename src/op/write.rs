use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Writes the caller's memory. Result: bytes, possibly fewer than asked for.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    /// Where to write.
    pub fd: RawFd,
    /// The bytes.
    pub ptr: *const u8,
    /// How many.
    pub len: u32,
    /// Position in a file; `u64::MAX` is the descriptor's own.
    pub offset: u64,
}

impl Op for Write {
    const NAME: &'static str = "write";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Write::new(types::Fd(self.fd), self.ptr, self.len).offset(self.offset).build()
    }
}

/// A [`Write`] that nobody waits for: it goes on when its descriptor is closed after it.
#[derive(Clone, Copy, Debug)]
pub struct WriteAsync(pub Write);

impl Op for WriteAsync {
    const NAME: &'static str = "write_async";
    const SURVIVES_CLOSE: bool = true;

    fn fd(&self) -> Option<RawFd> {
        self.0.fd()
    }

    fn build(self, memory: &mut OpMemory) -> squeue::Entry {
        self.0.build(memory)
    }
}
