use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Sends the caller's memory, which is in several places. Result: bytes; all of them, unless the
/// connection broke on the way. A broken connection is EPIPE, never SIGPIPE.
///
/// A message and not the newer vectored `IORING_OP_SEND`: every kernel knows it.
#[derive(Clone, Debug)]
pub struct SendV {
    /// The socket.
    pub fd: RawFd,
    /// Where the bytes are; at most [`Pieces::MOST`](super::Pieces::MOST).
    pub vectors: Box<[libc::iovec]>,
}

/// What the kernel reads: the header points to the vectors.
pub struct Message {
    header: libc::msghdr,
    _vectors: Box<[libc::iovec]>,
}

impl Op for SendV {
    const NAME: &'static str = "sendv";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(mut self, memory: &mut OpMemory) -> squeue::Entry {
        // SAFETY: msghdr is plain data for which all zeroes is a valid value.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = self.vectors.as_mut_ptr();
        // Inferred: the C libraries don't agree about the type.
        header.msg_iovlen = self.vectors.len() as _;
        let message = Box::new(Message { header, _vectors: self.vectors });
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let entry = opcode::SendMsg::new(types::Fd(self.fd), &raw const message.header)
            .flags(flags as u32)
            .build();
        *memory = OpMemory::Message(message);
        entry
    }
}
