//! Memory that an op owns because the kernel reads or writes it.

use std::ffi::CString;

use super::pass_fd::FdMessage;
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
}
