use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Discard, Op, OpMemory};
use crate::buf;

/// Receives from a stream socket into buffers of the pool, until its end: one result per chunk, 0
/// when the peer has shut down. It ends with ENOBUFS when the pool is empty.
#[derive(Clone, Copy, Debug)]
pub struct RecvMultishot {
    /// The socket.
    pub fd: RawFd,
    /// `MSG_*`, but for `MSG_WAITALL`.
    pub flags: i32,
}

impl Op for RecvMultishot {
    const NAME: &'static str = "recv_each";
    const DISCARD: Discard = Discard::ReturnBuffer;

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::RecvMulti::new(types::Fd(self.fd), buf::GROUP).flags(self.flags).build()
    }
}
