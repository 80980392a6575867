use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Receives into the caller's memory. Result: bytes, 0 when the peer has shut down.
#[derive(Clone, Copy, Debug)]
pub struct Recv {
    /// The socket.
    pub fd: RawFd,
    /// Where the bytes go.
    pub ptr: *mut u8,
    /// Most bytes to receive.
    pub len: u32,
    /// `MSG_*`.
    pub flags: i32,
}

impl Op for Recv {
    const NAME: &'static str = "recv";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Recv::new(types::Fd(self.fd), self.ptr, self.len).flags(self.flags).build()
    }
}
