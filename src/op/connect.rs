use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};
use crate::net::SockAddr;

/// Connects a socket. Result: 0.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The socket.
    pub fd: RawFd,
    /// Where to.
    pub addr: SockAddr,
}

impl Op for Connect {
    const NAME: &'static str = "connect";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, memory: &mut OpMemory) -> squeue::Entry {
        let addr = Box::new(self.addr);
        let entry = opcode::Connect::new(types::Fd(self.fd), addr.as_ptr(), addr.len()).build();
        *memory = OpMemory::Addr(addr);
        entry
    }
}
