use std::os::fd::RawFd;

use io_uring::{opcode, squeue, types};

use super::{Op, OpMemory};

/// A wake for POLLPRI alone is not noticed by the kernel's polling (it counts among the bits that
/// every wake may carry); those of sockets carry POLLRDBAND as well, which TCP never reports.
fn noticeable(events: u32) -> u32 {
    const PRI: u32 = libc::POLLPRI as u32;
    const IN: u32 = (libc::POLLIN | libc::POLLRDNORM) as u32;
    if events & PRI != 0 && events & IN == 0 { events | libc::POLLRDBAND as u32 } else { events }
}

/// Waits until a descriptor is ready. Result: the events that are there.
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    /// The descriptor.
    pub fd: RawFd,
    /// `POLL*`.
    pub events: u32,
}

impl Op for Poll {
    const NAME: &'static str = "poll";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::PollAdd::new(types::Fd(self.fd), noticeable(self.events)).build()
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
    const NAME: &'static str = "poll";

    fn fd(&self) -> Option<RawFd> {
        Some(self.fd)
    }

    fn build(self, _: &mut OpMemory) -> squeue::Entry {
        opcode::PollAdd::new(types::Fd(self.fd), noticeable(self.events)).multi(true).build()
    }
}
