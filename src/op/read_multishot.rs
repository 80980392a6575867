use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Discard, Op, OpMemory};
use crate::buf;

/// Reads a pipe (or another file that can be polled) into buffers of the pool, until its end: one
/// result per chunk, 0 at EOF. It ends with ENOBUFS when the pool is empty. Linux 6.7.
#[derive(Clone, Copy, Debug)]
pub struct ReadMultishot {
    /// Where to read.
    pub fd: RawFd,
}

impl Op for ReadMultishot {
    const NAME: &'static str = "read_each";
    const DISCARD: Discard = Discard::ReturnBuffer;

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::ReadMulti::new(types::Fd(self.fd), 0, buf::GROUP).offset(u64::MAX).build()
    }
}
