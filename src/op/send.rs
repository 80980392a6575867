use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Sends the caller's memory. Result: bytes; short unless `MSG_WAITALL` is among the flags.
/// A broken connection is EPIPE, never SIGPIPE.
#[derive(Clone, Copy, Debug)]
pub struct Send {
    /// The socket.
    pub fd: RawFd,
    /// The bytes.
    pub ptr: *const u8,
    /// How many.
    pub len: u32,
    /// `MSG_*`; `MSG_NOSIGNAL` is added.
    pub flags: i32,
}

impl Op for Send {
    const NAME: &'static str = "send";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::Send::new(types::Fd(self.fd), self.ptr, self.len)
            .flags(self.flags | libc::MSG_NOSIGNAL)
            .build()
    }
}
