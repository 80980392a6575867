use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// Waits until a descriptor is ready. Result: the events that are there.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    /// The descriptor.
    pub fd: RawFd,
    /// `POLL*`.
    pub events: u32,
}

impl Op for Poll {
    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::PollAdd::new(types::Fd(self.fd), self.events).build()
    }
}

/// Reports each time a descriptor becomes ready.
#[derive(Clone, Copy, Debug)]
pub struct PollMultishot {
    /// The descriptor.
    pub fd: RawFd,
    /// `POLL*`.
    pub events: u32,
}

impl Op for PollMultishot {
    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::PollAdd::new(types::Fd(self.fd), self.events).multi(true).build()
    }
}
