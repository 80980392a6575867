//! Memory that an op owns because the kernel reads or writes it.

use std::ffi::CString;

use super::pass_fd::{FdMessage, Received};
use super::sendv::Message;
use super::statx::Stat;
use crate::net::SockAddr;

/// Held by the op's slot and released after its last CQE. Boxed, so that slots may move.
#[derive(Default)]
pub enum OpMemory {
    /// The op points to nothing of its own.
    #[default]
    None,
    /// An address to connect to.
    Addr(Box<SockAddr>),
    /// A path.
    Path(CString),
    /// A path, and where `statx` writes.
    Stat(Box<Stat>),
    /// Bytes to send, copied from a short-lived place.
    Bytes(Box<[u8]>),
    /// Where the bytes to write are.
    Vectors(Box<[libc::iovec]>),
    /// A message around such places.
    Message(Box<Message>),
    /// A message with a descriptor to send.
    FdMessage(Box<FdMessage>),
    /// A message with descriptors that came in; those that nobody takes are closed with it.
    Received(Received),
}

impl OpMemory {
    /// What `statx` wrote. `None` if the op was no statx.
    #[must_use]
    pub fn stat(&self) -> Option<&libc::statx> {
        match self {
            Self::Stat(stat) => Some(stat.result()),
            _ => None,
        }
    }

    /// The descriptor that came with a message: the caller's from now on.
    ///
    /// # Errors
    /// EINVAL where there was none, EMFILE or ENFILE where there was and no number for it.
    pub fn claim_fd(&mut self) -> Result<std::os::fd::RawFd, i32> {
        match self {
            Self::Received(received) => received.claim_fd(),
            _ => Err(libc::EINVAL),
        }
    }
}
